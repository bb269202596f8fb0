"""What the experiments of the OS2D paper share: recipes V1 and V2, weights to start from, data, resources.

Every trial starts from ``TRAINING``, which says what ``config_training.yml`` says. What differs is written beside the
name of each trial, in the launchers. According to the authors, the 200 000 steps of V2 took 4.5 days on a V100, and 6.8
days with mining.
"""

from dataclasses import replace
from typing import Any

from orchestration.describe import Experiment, Resources

Settings = dict[str, Any]
"""Configuration key -> value."""

TRAINING: Settings = {
    "is_cuda": True,
    "init.model": "",
    "train.dataset_name": "grozi-train",
    "train.dataset_scale": 1280.0,
    "train.objective.class_objective": "RLL",
    "train.objective.loc_weight": 0.0,
    "train.objective.positive_iou_threshold": 0.5,
    "train.objective.negative_iou_threshold": 0.1,
    "train.objective.remap_classification_targets": True,
    "train.objective.remap_classification_targets_iou_pos": 0.8,
    "train.objective.remap_classification_targets_iou_neg": 0.4,
    "train.model.freeze_bn": True,
    "train.model.freeze_bn_transform": True,
    "train.model.train_transform_on_negs": False,
    "train.optim.anneal_lr.type": "MultiStepLR",
    "train.optim.anneal_lr.milestones": [100000, 150000],
    "train.optim.anneal_lr.gamma": 0.1,
    "eval.iter": 1000,
    "eval.dataset_names": ["grozi-val-new-cl"],
    "eval.dataset_scales": [1280.0],
    "eval.mAP_iou_thresholds": [0.5],
    "output.save_iter": 0,
    "output.best_model.do_get_best_model": True,
    "output.best_model.dataset": "",
    "output.best_model.metric": "mAP@0.50",
    "output.best_model.mode": "max",
}

EVALUATION = TRAINING | {"train.do_training": False}

V1: Settings = {
    "model.use_inverse_geom_model": False,
    "model.use_simplified_affine_model": True,
    "train.objective.loc_weight": 0.2,
    "train.model.freeze_bn_transform": False,
}

V2: Settings = {
    "model.use_inverse_geom_model": True,
    "model.use_simplified_affine_model": False,
    "train.objective.loc_weight": 0.0,
    "train.model.freeze_bn_transform": True,
}

FROM_WEAKALIGN: Settings = {"init.transform": "models/weakalign_resnet101_affine_tps.pth.tar"}
"""Where a training of V2 takes the TransformNet from."""

RESNET50: Settings = {"model.backbone_arch": "ResNet50"}
RESNET101: Settings = {"model.backbone_arch": "ResNet101"}

RESNET50_IMAGENET_CAFFE2 = RESNET50 | {"init.model": "models/imagenet-caffe-resnet50-features-ac468af-converted.pth"}
RESNET101_IMAGENET_CAFFE2 = RESNET101 | {"init.model": "models/imagenet-caffe-resnet101-features-10a101d-converted.pth"}

INSTRE: Settings = {
    "eval.class_image_augmentation": "rotation90",
    "eval.iter": 5000,
    "train.augment.mine_extra_class_images": True,
}
INSTRE_S1 = INSTRE | {
    "train.dataset_name": "instre-s1-train",
    "train.dataset_scale": 700.0,
    "eval.dataset_names": ["instre-s1-val"],
    "eval.dataset_scales": [700.0],
    "output.best_model.dataset": "instre-s1-val",
}
INSTRE_S2 = INSTRE | {
    "train.dataset_name": "instre-s2-train",
    "train.dataset_scale": 600.0,
    "eval.dataset_names": ["instre-s2-val"],
    "eval.dataset_scales": [600.0],
    "output.best_model.dataset": "instre-s2-val",
}

GROZI_TRAINING = Resources(cpus=4, gpus=1, memory_gb=40)
"""The decoded photos of grozi-train take 15 GB."""

INSTRE_TRAINING = Resources(cpus=4, gpus=1, memory_gb=64)

ONE_EVALUATION = Resources(cpus=4, gpus=1, memory_gb=16)


def at_start(training: Experiment) -> Experiment:
    """Return the trials that write ``checkpoint_iter_0.pth``, what a training starts from, and evaluate it."""
    variants = [
        replace(one, tags={**one.tags, "model": "V2-init" if one.config["model.use_inverse_geom_model"] else "V1-init"})
        for one in training.variants
    ]
    return replace(
        training,
        name=f"{training.name}-init",
        task="os2d.tasks:initialise",
        variants=variants,
        resources=ONE_EVALUATION,
    )


def evaluation_names(seeds: int) -> str:
    """Return the pattern of names: the published ones have no seed in them, several seeds need it."""
    return "{variant}" if seeds == 1 else "{variant}_seed{seed}"
