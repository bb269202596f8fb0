"""The configuration tree of OneNet: every key, its default and its meaning.

Names are those of the published program. Defaults are what its own defaults and the file that all its configurations
build on amount to. Keys marked *(new)* extend it and default to its behaviour.
"""

from __future__ import annotations

from math import inf

from yacs.config import CfgNode

_C = CfgNode()

_C.VERSION = 2  # of the layout of this tree, which published files tell; nothing else exists
_C.SEED = 40244023  # every random generator is derived from it
_C.OUTPUT_DIR = "./output"  # folder for checkpoints, log, metrics and results
_C.CUDNN_BENCHMARK = False  # let cuDNN try out its algorithms for every new size of input

_C.MODEL = CfgNode()
_C.MODEL.META_ARCHITECTURE = "OneNet"  # nothing else exists
_C.MODEL.DEVICE = "cuda"  # cuda, cuda:1, ... or cpu; asking for a device that is not there is an error
_C.MODEL.WEIGHTS = ""  # of the whole network or of the backbone; empty: random initialisation
_C.MODEL.WEIGHTS_SKIP = []  # (new) starts of the names that keep their initial values, whatever the file holds
_C.MODEL.PIXEL_MEAN = [123.675, 116.280, 103.530]  # RGB, of values from 0 to 255
_C.MODEL.PIXEL_STD = [58.395, 57.120, 57.375]

_C.MODEL.BACKBONE = CfgNode()
# build_resnet_backbone, build_retinanet_resnet_fpn_backbone or build_mobilenet_backbone (new)
_C.MODEL.BACKBONE.NAME = "build_resnet_backbone"
_C.MODEL.BACKBONE.FREEZE_AT = 2  # do not train the stem (1), res2 too (2), ...; 0: train everything

_C.MODEL.RESNETS = CfgNode()
_C.MODEL.RESNETS.DEPTH = 50  # 18, 34, 50, 101 or 152
_C.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
_C.MODEL.RESNETS.NORM = "FrozenBN"  # FrozenBN (stored statistics, not trained) or BN
_C.MODEL.RESNETS.STRIDE_IN_1X1 = False  # where a bottleneck halves the image: in its first convolution or its second
_C.MODEL.RESNETS.RES2_OUT_CHANNELS = 256  # accepted from published files: the depth decides, 64 for 18 and 34

_C.MODEL.MOBILENET = CfgNode()  # (new) backbones of torchvision
_C.MODEL.MOBILENET.NAME = "mobilenet_v3_large"  # mobilenet_v2, mobilenet_v3_large or mobilenet_v3_small
_C.MODEL.MOBILENET.NORM = "BN"  # BN or FrozenBN

_C.MODEL.FPN = CfgNode()
_C.MODEL.FPN.IN_FEATURES = []  # of the ResNet; the last one feeds the two coarsest levels too
_C.MODEL.FPN.OUT_CHANNELS = 256

_C.MODEL.ANCHOR_GENERATOR = CfgNode()  # of the RetinaNet head
_C.MODEL.ANCHOR_GENERATOR.SIZES = [[32, 64, 128, 256, 512]]  # per level, in pixels; a single list serves all levels
_C.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS = [[0.5, 1.0, 2.0]]  # height / width, per level or for all
_C.MODEL.ANCHOR_GENERATOR.OFFSET = 0.0  # of the anchors' centres from the corner of their cell, in strides

_C.MODEL.OneNet = CfgNode()
_C.MODEL.OneNet.NUM_CLASSES = 80
_C.MODEL.OneNet.NMS = False  # suppress overlapping boxes of a class (IoU 0.5); an ablation
_C.MODEL.OneNet.HEAD = "CenterNet"  # CenterNet, FCOS or RetinaNet
_C.MODEL.OneNet.MATCHER = "MinCost"  # (new) MinCost (of the paper) or Hungarian (of later code)
_C.MODEL.OneNet.PRE_DEFINE = False  # match by locations or anchors instead of predicted boxes; an ablation
_C.MODEL.OneNet.IN_FEATURES = ["res2", "res3", "res4", "res5"]  # p3 to p7 for FCOS and RetinaNet
_C.MODEL.OneNet.ACTIVATION = "relu"  # after feat1: relu or gelu
_C.MODEL.OneNet.DECONV_CHANNEL = [2048, 256, 128, 64]  # the first one is that of the deepest input feature
_C.MODEL.OneNet.DECONV_KERNEL = [4, 4, 4]
_C.MODEL.OneNet.DCN = True  # deformable convolutions in the neck
_C.MODEL.OneNet.MODULATE_DEFORM = True  # weigh their points (DCN v2)
_C.MODEL.OneNet.FEATURES_STRIDE = [8, 16, 32, 64, 128]  # of FCOS and RetinaNet
_C.MODEL.OneNet.OBJECT_SIZES_OF_INTEREST = [[-1, 64], [64, 128], [128, 256], [256, 512], [512, inf]]  # FCOS, PRE_DEFINE
_C.MODEL.OneNet.NUM_CONV = 4  # convolutions before the last one, of FCOS and RetinaNet
_C.MODEL.OneNet.CONV_NORM = "GN"  # of FCOS: GN (32 groups) or BN
_C.MODEL.OneNet.CONV_CHANNELS = 256
_C.MODEL.OneNet.CLASS_COST = 2.0  # of matching
_C.MODEL.OneNet.GIOU_COST = 2.0
_C.MODEL.OneNet.L1_COST = 5.0
_C.MODEL.OneNet.CLASS_WEIGHT = 2.0  # of the loss
_C.MODEL.OneNet.GIOU_WEIGHT = 2.0
_C.MODEL.OneNet.L1_WEIGHT = 5.0
_C.MODEL.OneNet.ALPHA = 0.25  # of the focal loss, in matching too
_C.MODEL.OneNet.GAMMA = 2.0
_C.MODEL.OneNet.PRIOR_PROB = 0.01  # probability of every class at the start of training

_C.MODEL.EMA = CfgNode()  # (new) evaluate a moving average of the weights
_C.MODEL.EMA.ENABLED = False
_C.MODEL.EMA.DECAY = 0.9998  # per iteration

_C.INPUT = CfgNode()
_C.INPUT.FORMAT = "RGB"  # nothing else exists
_C.INPUT.MIN_SIZE_TRAIN = (416, 448, 480, 512)  # shorter edge, one is drawn for every image; in pixels
_C.INPUT.MAX_SIZE_TRAIN = 853  # longer edge
_C.INPUT.MIN_SIZE_TEST = 512  # 0: no resizing
_C.INPUT.MAX_SIZE_TEST = 853
_C.INPUT.RANDOM_FLIP = "horizontal"  # horizontal or none
_C.INPUT.CROP = CfgNode()
_C.INPUT.CROP.ENABLED = False  # with probability 0.5: resize to 400, 500 or 600 and crop
_C.INPUT.CROP.TYPE = "absolute_range"  # nothing else exists
_C.INPUT.CROP.SIZE = [384, 600]  # smallest and largest edge of the crop, in pixels

_C.DATASETS = CfgNode()
_C.DATASETS.TRAIN = ()  # names, or paths of annotation files in COCO's format
_C.DATASETS.TEST = ()
_C.DATASETS.ROOT = ""  # (new) folder of the named data sets; empty: $DETECTRON2_DATASETS, else ./datasets
_C.DATASETS.REGISTERED = []  # (new) further data sets: [name, folder of images, annotation file], below the root

_C.DATALOADER = CfgNode()
_C.DATALOADER.NUM_WORKERS = 4  # processes; 0: load in the training process
_C.DATALOADER.ASPECT_RATIO_GROUPING = True  # batches of wide images or of others
_C.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False  # train without the images that show nothing

_C.SOLVER = CfgNode()
_C.SOLVER.IMS_PER_BATCH = 64  # over all processes
_C.SOLVER.BASE_LR = 4e-5
_C.SOLVER.BACKBONE_MULTIPLIER = 1.0  # of the learning rate of parameters of the backbone
_C.SOLVER.OPTIMIZER = "ADAMW"  # ADAMW or SGD
_C.SOLVER.MOMENTUM = 0.9  # of SGD
_C.SOLVER.WEIGHT_DECAY = 1e-4  # of every parameter
_C.SOLVER.MAX_ITER = 270000
_C.SOLVER.STEPS = (210000, 250000)  # iterations at which GAMMA applies
_C.SOLVER.GAMMA = 0.1
_C.SOLVER.WARMUP_METHOD = "linear"  # nothing else exists
_C.SOLVER.WARMUP_FACTOR = 0.01
_C.SOLVER.WARMUP_ITERS = 1000
_C.SOLVER.CHECKPOINT_PERIOD = 5000  # iterations
_C.SOLVER.CLIP_GRADIENTS = CfgNode()
_C.SOLVER.CLIP_GRADIENTS.ENABLED = True
_C.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = "full_model"  # full_model (L2 norm of all together), or per parameter: value, norm
_C.SOLVER.CLIP_GRADIENTS.CLIP_VALUE = 1.0
_C.SOLVER.CLIP_GRADIENTS.NORM_TYPE = 2.0  # of the type norm
_C.SOLVER.AMP = CfgNode()
_C.SOLVER.AMP.ENABLED = False  # train in reduced precision
_C.SOLVER.AMP.PRECISION = "fp16"  # (new) fp16 (with a gradient scaler) or bf16

_C.TEST = CfgNode()
_C.TEST.EVAL_PERIOD = 7330  # iterations; 0: only after the last one
_C.TEST.DETECTIONS_PER_IMAGE = 100
_C.TEST.PRECISION = "fp32"  # (new) fp32, bf16 or fp16, of convolutions
_C.TEST.MEASURE_SPEED = False  # (new) an evaluation measures frames per second, too

_C.RUNTIME = CfgNode()  # (new) how the work is done; no key here changes a result by more than rounding
_C.RUNTIME.CHANNELS_LAST = True  # memory layout of images and features
_C.RUNTIME.COMPILE = False  # torch.compile for the network's dense parts
_C.RUNTIME.CHECKPOINT_SECONDS = 60.0  # time between resumable checkpoints

NEUTRAL_KEYS = (
    "OUTPUT_DIR",
    "CUDNN_BENCHMARK",
    "DATASETS.ROOT",
    "DATALOADER.NUM_WORKERS",
    "SOLVER.CHECKPOINT_PERIOD",
    "RUNTIME.",
)
"""Keys (or prefixes) that cannot change a result: configurations that differ only here are the same experiment."""


def is_cuda(config: CfgNode) -> bool:
    """Return whether a configuration asks for a GPU."""
    return str(config.MODEL.DEVICE).startswith("cuda")


def default_config() -> CfgNode:
    """Return a fresh, unfrozen copy of the tree; nothing here is shared between two callers."""
    return _C.clone()
