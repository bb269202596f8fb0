"""The configuration tree of the detector: every key, its default and its meaning.

Names are those of maskrcnn-benchmark, so that its files and ``KEY VALUE`` pairs go on working; defaults are those the
published experiments share. Keys marked *(new)* have no counterpart there. Light on purpose (no torch).
"""

from __future__ import annotations

from yacs.config import CfgNode

_C = CfgNode()

_C.random_seed = 42  # (new) every random choice is derived from it
_C.OUTPUT_DIR = ""  # folder of a training from the command line; empty: nothing is kept

_C.MODEL = CfgNode()
_C.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
_C.MODEL.DEVICE = "cuda"  # cuda or cpu
_C.MODEL.WEIGHT = ""  # a detector, a ResNet, or catalog://ImageNetPretrained/MSRA/R-50; empty: random
_C.MODEL.CLS_AGNOSTIC_BBOX_REG = False
_C.MODEL.BACKBONE = CfgNode()
_C.MODEL.BACKBONE.CONV_BODY = "R-50-FPN"  # R-50-FPN, R-101-FPN or (new) R-18-FPN, R-34-FPN
_C.MODEL.BACKBONE.FREEZE_CONV_BODY_AT = 2  # stages that do not learn: 1 the stem, 2 also layer1, ...; 0: all learn
_C.MODEL.RESNETS = CfgNode()
_C.MODEL.RESNETS.BACKBONE_OUT_CHANNELS = 256  # of every level of the pyramid
_C.MODEL.RESNETS.STRIDE_IN_1X1 = True  # a bottleneck halves the image in its first convolution, as Caffe2's did
_C.MODEL.RESNETS.NORM = "FrozenBN"  # (new) FrozenBN, or GN to train a body that starts random
_C.MODEL.RPN = CfgNode()
_C.MODEL.RPN.USE_FPN = True
_C.MODEL.RPN.ANCHOR_SIZES = (32, 64, 128, 256, 512)  # one per level, in pixels
_C.MODEL.RPN.ANCHOR_STRIDE = (4, 8, 16, 32, 64)
_C.MODEL.RPN.ASPECT_RATIOS = (0.5, 1.0, 2.0)  # height over width
_C.MODEL.RPN.STRADDLE_THRESH = 0  # anchors that leave the image by more are not trained; -1: all are
_C.MODEL.RPN.FG_IOU_THRESHOLD = 0.7
_C.MODEL.RPN.BG_IOU_THRESHOLD = 0.3
_C.MODEL.RPN.BATCH_SIZE_PER_IMAGE = 256
_C.MODEL.RPN.POSITIVE_FRACTION = 0.5
_C.MODEL.RPN.PRE_NMS_TOP_N_TRAIN = 2000  # per level
_C.MODEL.RPN.PRE_NMS_TOP_N_TEST = 1000
_C.MODEL.RPN.POST_NMS_TOP_N_TRAIN = 2000  # per level
_C.MODEL.RPN.POST_NMS_TOP_N_TEST = 1000
_C.MODEL.RPN.FPN_POST_NMS_TOP_N_TRAIN = 2000  # over all levels of all images of a batch
_C.MODEL.RPN.FPN_POST_NMS_TOP_N_TEST = 1000  # over all levels of an image
_C.MODEL.RPN.NMS_THRESH = 0.7
_C.MODEL.ROI_HEADS = CfgNode()
_C.MODEL.ROI_HEADS.USE_FPN = True
_C.MODEL.ROI_HEADS.FG_IOU_THRESHOLD = 0.5
_C.MODEL.ROI_HEADS.BG_IOU_THRESHOLD = 0.5
_C.MODEL.ROI_HEADS.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
_C.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 512
_C.MODEL.ROI_HEADS.POSITIVE_FRACTION = 0.25
_C.MODEL.ROI_HEADS.SCORE_THRESH = -10.0  # keeps every box
_C.MODEL.ROI_HEADS.NMS = 0.5
_C.MODEL.ROI_HEADS.DETECTIONS_PER_IMG = 100
_C.MODEL.ROI_BOX_HEAD = CfgNode()
_C.MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR = "FPN2MLPFeatureExtractor"
_C.MODEL.ROI_BOX_HEAD.PREDICTOR = "FPNPredictor"
_C.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 7
_C.MODEL.ROI_BOX_HEAD.POOLER_SCALES = (0.25, 0.125, 0.0625, 0.03125)
_C.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO = 2
_C.MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM = 1024
_C.MODEL.ROI_BOX_HEAD.NUM_CLASSES = 0  # with background; 0: all objects are one class; -1: those of the training set

_C.INPUT = CfgNode()
_C.INPUT.MIN_SIZE_TRAIN = (480, 600, 768, 960, 1152, 1344, 1536)  # shorter sides to choose from, in pixels
_C.INPUT.MAX_SIZE_TRAIN = 2048  # limit of the longer side
_C.INPUT.MIN_SIZE_TEST = 960
_C.INPUT.MAX_SIZE_TEST = 1280
_C.INPUT.TO_BGR255 = True  # images are BGR of 0..255 instead of RGB of 0..1
_C.INPUT.PIXEL_MEAN = [102.9801, 115.9465, 122.7717]
_C.INPUT.PIXEL_STD = [1.0, 1.0, 1.0]
_C.INPUT.HORIZONTAL_FLIP_PROB_TRAIN = 0.5

_C.DATASETS = CfgNode()
_C.DATASETS.TRAIN = ("grozi-train",)  # one data set
_C.DATASETS.TEST = ("grozi-val-all",)  # the first one chooses the best network

_C.DATALOADER = CfgNode()
_C.DATALOADER.SIZE_DIVISIBILITY = 32  # images are padded to a multiple of it
_C.DATALOADER.ASPECT_RATIO_GROUPING = True  # batches hold only landscape or only portrait images
_C.DATALOADER.NUM_WORKERS = 4
_C.DATALOADER.CACHE_IMAGES = False  # (new) keep decoded images in memory

_C.SOLVER = CfgNode()
_C.SOLVER.ASSUMED_GPUS = 8  # (new) the numbers below are for so many processes and are rescaled for another number
_C.SOLVER.MAX_ITER = 90000  # 0: only the evaluation runs
_C.SOLVER.BASE_LR = 0.02
_C.SOLVER.BIAS_LR_FACTOR = 2
_C.SOLVER.MOMENTUM = 0.9
_C.SOLVER.WEIGHT_DECAY = 1e-4
_C.SOLVER.WEIGHT_DECAY_BIAS = 0.0
_C.SOLVER.GAMMA = 0.1
_C.SOLVER.STEPS = (60000, 80000)
_C.SOLVER.WARMUP_FACTOR = 1 / 3
_C.SOLVER.WARMUP_ITERS = 500  # not rescaled, as the two periods below
_C.SOLVER.WARMUP_METHOD = "linear"  # linear or constant
_C.SOLVER.CHECKPOINT_PERIOD = 100000
_C.SOLVER.VALIDATION_PERIOD = 500
_C.SOLVER.IMS_PER_BATCH = 16

_C.TEST = CfgNode()
_C.TEST.IMS_PER_BATCH = 8  # accepted, and read by nobody: every process looks at one image at a time, as 8 did
_C.TEST.BBOX_AUG = CfgNode()
_C.TEST.BBOX_AUG.ENABLED = False  # detect at several sizes and merge
_C.TEST.BBOX_AUG.H_FLIP = False  # also in the mirrored image
_C.TEST.BBOX_AUG.SCALES = ()  # shorter sides besides INPUT.MIN_SIZE_TEST, in pixels
_C.TEST.BBOX_AUG.MAX_SIZE = 4000
_C.TEST.BBOX_AUG.SCALE_H_FLIP = False

_C.runtime = CfgNode()  # (new) none of these keys changes a result
_C.runtime.data_root = ""  # folder of the data sets; empty: $ONESHOT_DATA, else ./data
_C.runtime.num_threads = 0  # of torch; 0: its own choice
_C.runtime.checkpoint_seconds = 600.0  # save what resumes an interrupted training so often

NEUTRAL_KEYS = ("OUTPUT_DIR", "TEST.IMS_PER_BATCH", "DATALOADER.NUM_WORKERS", "DATALOADER.CACHE_IMAGES", "runtime.")
"""Keys, or prefixes ending in a dot, that cannot change any result."""


def is_cuda(config: CfgNode) -> bool:
    """Return whether a configuration asks for a GPU."""
    return str(config.MODEL.DEVICE).lower() == "cuda"


def default_config() -> CfgNode:
    """Return a fresh tree with every key and its default."""
    return _C.clone()
