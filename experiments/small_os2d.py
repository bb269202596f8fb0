"""An OS2D small enough to train on a laptop's CPU, and the rows that compare its losses."""

from orchestration.describe import Variant

ANCHOR_PX = 56
"""Side of the anchors: 7 template cells of 8 pixels."""

SMALL_OS2D = {
    "is_cuda": False,
    "model.backbone_arch": "ResNet18",
    "model.backbone_cut": "layer2",
    "model.use_group_norm": True,
    "model.template_grid": 7,
    "model.template_border": 1,
    "model.class_image_size": 64,
    "model.transform_net.kernel_sizes": [3, 3, 3],
    "model.transform_net.channels": [32, 16],
    "model.use_inverse_geom_model": False,
    "model.use_simplified_affine_model": True,
    "train.batch_size": 2,
    "train.class_batch_size": 8,
    "train.augment.train_patch_width": 160,
    "train.augment.train_patch_height": 160,
    "train.objective.neg_margin": 0.2,
    "train.objective.loc_weight": 0.05,
    "train.model.freeze_bn_transform": False,
    "train.optim.optim_method": "adamw",
    "train.optim.lr": 1e-3,
    "train.optim.max_iter": 100,
    "train.optim.anneal_lr.type": "MultiStepLR",
    "train.optim.anneal_lr.milestones": [75],
    "train.optim.anneal_lr.reload_best_model_after_anneal_lr": False,
    "eval.iter": 75,
    "eval.scales_of_image_pyramid": [1.0],
    "runtime.num_workers": 0,
}

LOSS_ROWS = [
    Variant("untrained", task="os2d.tasks:evaluate"),
    Variant(
        "contrastive",
        {
            "train.objective.class_objective": "ContrastiveLoss",
            "train.objective.pos_margin": 1.0,
            "train.objective.remap_classification_targets": False,
        },
    ),
    Variant("RLL", {"train.objective.remap_classification_targets": False}),
    Variant("RLL + remap", {"train.objective.remap_classification_targets": True}),
]
