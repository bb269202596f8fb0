"""The configuration tree of CoAE: every key, its default and its meaning.

Branches and keys are named as those of OS2D where they mean the same; defaults are those of the published program with
its res50 and res101 files. :mod:`baselines.coae.published_keys` tells which of its keys is which of these. Keys marked
*(new)* extend it and default to its behaviour.
"""

from __future__ import annotations

from yacs.config import CfgNode

_C = CfgNode()

_C.is_cuda = True  # run on the GPU; asking for one on a machine without is an error
_C.random_seed = 3  # every random generator is derived from it

_C.model = CfgNode()
_C.model.net = "res50"  # res50 or res101; res18 and res34 (new)
_C.model.fixed_blocks = 2  # stages that never learn, and the stem with them; -1 (new): everything learns
_C.model.group_norm = False  # (new) GroupNorm, which learns, instead of fixed BatchNorm, for random initial weights
_C.model.anchor_scales = [4.0, 8.0, 16.0, 32.0]  # in strides of 16 pixels
_C.model.anchor_ratios = [0.5, 1.0, 2.0]  # of height to width
_C.model.query_size = 128  # class images fill a square of so many pixels; published experiments took 192
_C.model.delta_stds = [0.1, 0.1, 0.2, 0.2]  # one unit of a predicted code of x, y, width, height

_C.init = CfgNode()
_C.init.model = ""  # a checkpoint, or a ResNet for the backbone; empty: random initialisation

_C.train = CfgNode()
_C.train.dataset_name = "grozi-train"
_C.train.batch_size = 4  # images per step, each with one query
_C.train.epochs = 20
_C.train.scales = [600]  # shorter side of an image in pixels, drawn anew for every image
_C.train.max_boxes = 20  # of an image that are learned from
_C.train.random_flip = False  # add a mirrored copy of every image, and mirror about half of the queries

_C.train.proposals = CfgNode()
_C.train.proposals.before_nms = 12000
_C.train.proposals.after_nms = 2000
_C.train.proposals.nms_iou_threshold = 0.7

_C.train.rpn = CfgNode()
_C.train.rpn.positive_iou = 0.7
_C.train.rpn.negative_iou = 0.3
_C.train.rpn.samples = 256  # anchors per image
_C.train.rpn.positive_share = 0.5  # at most

_C.train.head = CfgNode()
_C.train.head.samples = 128  # regions per image
_C.train.head.foreground_share = 0.25  # at most
_C.train.head.foreground_iou = 0.5
_C.train.head.background_iou_low = 0.0
_C.train.head.background_iou_high = 0.5
_C.train.head.margin = 0.3  # of the ranking loss

_C.train.optim = CfgNode()
_C.train.optim.optim_method = "sgd"  # sgd or adam
_C.train.optim.lr = 0.01
_C.train.optim.sgd_momentum = 0.9
_C.train.optim.weight_decay = 1e-4
_C.train.optim.double_bias = False  # biases learn twice as fast
_C.train.optim.bias_decay = False  # biases decay too
_C.train.optim.milestones = []  # epochs, from 1, before which the learning rate drops
_C.train.optim.gamma = 0.1  # by this factor
_C.train.optim.reload_best_model = True  # and the best network so far is taken up again

_C.eval = CfgNode()
_C.eval.iter = 10  # evaluate before every epoch, from 2, whose number is a multiple of this, and at the end
_C.eval.dataset_names = ["grozi-val-new-cl"]  # the first one decides which network is the best
_C.eval.scales = [600]  # shorter sides of an image in pixels, all of which are looked at
_C.eval.searched_classes = "present"  # present: the classes annotated in an image; all (new): every class, as OS2D does
_C.eval.class_image_augmentation = ""  # "" or rotation90
_C.eval.proposals = CfgNode()
_C.eval.proposals.before_nms = 6000
_C.eval.proposals.after_nms = 300
_C.eval.proposals.nms_iou_threshold = 0.7
_C.eval.nms_iou_threshold = 0.3
_C.eval.nms_score_threshold = 0.0  # keep scores strictly greater
_C.eval.max_detections = 100  # per image and class; equal scores may make it more
_C.eval.mAP_iou_thresholds = [0.5]

_C.output = CfgNode()
_C.output.path = ""  # folder for checkpoints, log and configuration; empty: nothing is saved
_C.output.print_iter = 10  # steps between two lines about the losses; 0: none
_C.output.checkpoint_interval = 0  # steps between two named checkpoints of an epoch; 0: none
_C.output.session = 1  # number in the names of checkpoints

_C.runtime = CfgNode()  # how the work is done; no key here changes a result
_C.runtime.data_root = ""  # folder of the named data sets; empty: $ONESHOT_DATA, else ./data
_C.runtime.num_workers = 2  # processes that prepare images; 0: the training process
_C.runtime.num_threads = 0  # CPU threads of torch; 0: torch's own choice
_C.runtime.classes_at_once = 8  # queries that meet an image together in evaluation
_C.runtime.checkpoint_seconds = 60.0  # time between resumable checkpoints

NEUTRAL_KEYS = ("output.", "runtime.")
"""Prefixes of keys that cannot change a result: configurations that differ only here are the same experiment."""


def default_config() -> CfgNode:
    """Return a fresh, unfrozen copy of the tree; nothing here is shared between two callers."""
    return _C.clone()
