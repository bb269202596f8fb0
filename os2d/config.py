"""The configuration tree of OS2D: every key, its default and its meaning.

Values come from these defaults, then a YAML file, then ``KEY VALUE`` pairs; then the tree is frozen. The keys of the
published program keep their names and defaults. Keys marked *(new)* extend it and default to its behaviour.
"""

from __future__ import annotations

from math import inf

from yacs.config import CfgNode

_C = CfgNode()

_C.is_cuda = True  # run on the GPU; asking for one on a machine without is an error
_C.random_seed = 42  # every random generator is derived from it

_C.model = CfgNode()
_C.model.backbone_arch = "ResNet50"  # ResNet18, ResNet34 (new), ResNet50 or ResNet101; case does not matter
_C.model.backbone_cut = "layer3"  # (new) last stage kept: layer1, layer2 or layer3, i.e. stride 4, 8 or 16
_C.model.merge_branch_parameters = True  # image and class branches share one backbone
_C.model.use_inverse_geom_model = True  # invert the regressed affine map (weakalign's convention)
_C.model.use_simplified_affine_model = False  # 4 parameters (scale and shift per axis) instead of 6
_C.model.class_image_size = 240  # class images are resized to w * h = size^2, in pixels
_C.model.template_grid = 15  # (new) cells per side of a class template; the anchor side is template_grid * stride
_C.model.template_border = 2  # (new) outer cells of the template that do not count for the score
_C.model.transform_net = CfgNode()
_C.model.transform_net.kernel_sizes = [7, 5, 5]  # (new) of the three convolutions of the TransformNet
_C.model.transform_net.channels = [128, 64]  # (new) of its two hidden layers
_C.model.use_group_norm = False  # GroupNorm(32 groups) instead of BatchNorm in the backbone
_C.model.normalization_mean = [0.485, 0.456, 0.406]  # RGB, after scaling to [0, 1]
_C.model.normalization_std = [0.229, 0.224, 0.225]

_C.init = CfgNode()
_C.init.model = ""  # weights of the whole network or of the backbone; empty: random initialisation
_C.init.transform = ""  # weakalign file whose affine regressor replaces the TransformNet's weights
_C.init.skip_transform_linear = False  # (new) keep the identity as TransformNet's last layer, whatever the file holds

_C.train = CfgNode()
_C.train.do_training = True  # False: only the final evaluation runs
_C.train.batch_size = 4  # images per batch
_C.train.class_batch_size = 15  # upper bound on class images per batch
_C.train.dataset_name = "grozi-train"
_C.train.dataset_scale = 1280.0  # image size at which training crops are taken
_C.train.cache_images = True  # keep decoded images in memory
_C.train.precision = "fp32"  # (new) fp32, bf16 or fp16 (with a gradient scaler), of convolutions and matrix products
_C.train.accumulation_steps = 1  # (new) batches whose gradients are averaged into one step

_C.train.objective = CfgNode()
_C.train.objective.class_objective = "RLL"  # RLL or ContrastiveLoss
_C.train.objective.neg_margin = 0.5
_C.train.objective.pos_margin = 0.6
_C.train.objective.loc_weight = 0.2
_C.train.objective.positive_iou_threshold = 0.5  # an anchor is positive at IoU >= this
_C.train.objective.negative_iou_threshold = 0.1  # and negative at IoU < this
_C.train.objective.neg_to_pos_ratio = 3  # hard negatives per positive, ContrastiveLoss only
_C.train.objective.class_neg_weight = 1.0
_C.train.objective.rll_neg_weight_ratio = 0.001  # RLL weight of a zero-loss negative relative to the hardest
_C.train.objective.remap_classification_targets = True
_C.train.objective.remap_classification_targets_iou_pos = 0.8
_C.train.objective.remap_classification_targets_iou_neg = 0.4

_C.train.model = CfgNode()
_C.train.model.train_features = True
_C.train.model.freeze_bn = True  # keep the backbone's BatchNorm in eval mode (its affine weights still train)
_C.train.model.freeze_bn_transform = True  # the same for the TransformNet
_C.train.model.freeze_transform = False  # do not train the TransformNet at all
_C.train.model.num_frozen_extractor_blocks = 0  # block 1 is conv1 + bn1, then every residual block in order
_C.train.model.train_transform_on_negs = False  # False: negatives do not train the transformation

_C.train.augment = CfgNode()
_C.train.augment.train_patch_width = 600
_C.train.augment.train_patch_height = 600
_C.train.augment.scale_jitter = 0.7  # in (0, 1]
_C.train.augment.jitter_aspect_ratio = 0.9  # in (0, 1]
_C.train.augment.random_flip_batches = False  # flip whole batches, horizontally and vertically
_C.train.augment.random_color_distortion = False
_C.train.augment.random_crop_class_images = False
_C.train.augment.min_box_coverage = 0.7  # a random crop covers at least this share of some box
_C.train.augment.mine_extra_class_images = False  # also use crops of training boxes as class images

_C.train.mining = CfgNode()
_C.train.mining.do_mining = False
_C.train.mining.mine_hard_patches_iter = 5000  # mine when the iteration is a multiple of this
_C.train.mining.num_hard_patches_per_image = 10  # per role
_C.train.mining.num_random_pyramid_scales = 2  # 0: the evaluation pyramid
_C.train.mining.num_random_negative_classes = 200  # -1: all
_C.train.mining.nms_iou_threshold_in_mining = 0.5

_C.train.optim = CfgNode()
_C.train.optim.lr = 1e-4
_C.train.optim.max_iter = 200000
_C.train.optim.optim_method = "sgd"  # sgd, adagrad, adadelta, adam, adamax, rmsprop, asgd, rprop, adamw (new)
_C.train.optim.weight_decay = 1e-4
_C.train.optim.sgd_momentum = 0.9
_C.train.optim.max_grad_norm = 100.0  # L2

_C.train.optim.anneal_lr = CfgNode()
_C.train.optim.anneal_lr.type = "none"  # none, MultiStepLR or ReduceLROnPlateau
_C.train.optim.anneal_lr.milestones = []  # iterations
_C.train.optim.anneal_lr.gamma = 0.1
_C.train.optim.anneal_lr.quantity_to_monitor = "mAP@0.50_grozi-val-new-cl"
_C.train.optim.anneal_lr.quantity_mode = "max"
_C.train.optim.anneal_lr.quantity_epsilon = 0.01  # relative
_C.train.optim.anneal_lr.reduce_factor = 0.5
_C.train.optim.anneal_lr.min_value = 1e-5
_C.train.optim.anneal_lr.patience = 1000  # iterations, as the four below
_C.train.optim.anneal_lr.initial_patience = 0
_C.train.optim.anneal_lr.cooldown = 10000
_C.train.optim.anneal_lr.quantity_smoothness = 2000  # median window
_C.train.optim.anneal_lr.reload_best_model_after_anneal_lr = True

_C.eval = CfgNode()
_C.eval.iter = 5000  # evaluate every so many iterations
_C.eval.dataset_names = ["grozi-val-new-cl", "grozi-val-old-cl"]
_C.eval.dataset_scales = [1280]
_C.eval.cache_images = False
_C.eval.precision = "fp32"  # (new) fp32, bf16 or fp16, of convolutions and matrix products; in mining too
_C.eval.scales_of_image_pyramid = [0.5, 0.625, 0.8, 1, 1.2, 1.4, 1.6]
_C.eval.train_subset_for_eval_size = 0  # also evaluate on the first so many training images
_C.eval.nms_iou_threshold = 0.3
_C.eval.nms_score_threshold = -inf  # keep scores strictly greater
_C.eval.nms_across_classes = False
_C.eval.mAP_iou_thresholds = [0.5]
_C.eval.batch_size = 1  # images per forward pass, in mining too
_C.eval.class_image_augmentation = ""  # "", rotation90, horflip or horflip_rotation90

_C.output = CfgNode()
_C.output.path = ""  # folder for checkpoints, log and configuration; empty: nothing is saved
_C.output.save_log_to_file = False
_C.output.print_iter = 1
_C.output.save_iter = 50000  # 0: off
_C.output.best_model = CfgNode()
_C.output.best_model.do_get_best_model = False
_C.output.best_model.dataset = ""  # empty: the first of eval.dataset_names
_C.output.best_model.metric = "mAP@0.50"
_C.output.best_model.mode = "max"

_C.visualization = CfgNode()
_C.visualization.eval = CfgNode()
_C.visualization.eval.show_gt_boxes = False
_C.visualization.eval.show_detections = False
_C.visualization.eval.max_detections = 10
_C.visualization.eval.score_threshold = -inf
_C.visualization.eval.show_class_heatmaps = False
_C.visualization.eval.images_for_heatmaps = []  # image ids, parallel to the class ids below
_C.visualization.eval.labels_for_heatmaps = []
_C.visualization.eval.path_to_save_detections = ""
_C.visualization.train = CfgNode()
_C.visualization.train.show_gt_boxes_dataloader = False
_C.visualization.train.show_detections = False
_C.visualization.train.max_detections = 5
_C.visualization.train.score_threshold = -inf
_C.visualization.train.show_target_remapping = False
_C.visualization.mining = CfgNode()
_C.visualization.mining.show_gt_boxes = False
_C.visualization.mining.show_class_heatmaps = False
_C.visualization.mining.images_for_heatmaps = []
_C.visualization.mining.labels_for_heatmaps = []
_C.visualization.mining.show_mined_patches = False
_C.visualization.mining.max_detections = 10
_C.visualization.mining.score_threshold = -inf

_C.runtime = CfgNode()  # (new) how the work is done; no key here changes a result
_C.runtime.data_root = ""  # folder of the named data sets; empty: $ONESHOT_DATA, else ./data
_C.runtime.num_workers = 2  # DataLoader processes; 0: load in the training process
_C.runtime.num_threads = 0  # CPU threads of torch; 0: torch's own choice
_C.runtime.head_memory_mb = 512  # memory for the correlation volumes of one chunk of classes
_C.runtime.channels_last = True  # memory layout of images and features; differs in rounding only
_C.runtime.compile = False  # torch.compile for the network's dense parts; differs in rounding only
_C.runtime.checkpoint_seconds = 60.0  # time between resumable checkpoints

cfg = _C

NEUTRAL_KEYS = (
    "output.path",
    "output.save_log_to_file",
    "output.print_iter",
    "output.save_iter",
    "visualization.",
    "runtime.",
)
"""Keys (or prefixes) that cannot change a result: configurations that differ only here are the same experiment."""


def default_config() -> CfgNode:
    """Return a fresh, unfrozen copy of the tree; nothing here is shared between two callers."""
    return _C.clone()
