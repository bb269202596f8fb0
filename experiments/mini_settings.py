"""What makes the experiments of the paper small: for each task, which of its settings change, and how.

A table has the new value for every value of the original. OS2D has the first half of a ResNet-18 for a ResNet-50, and
of a ResNet-34 for a ResNet-101; the baselines have a ResNet-18 for both, from different weights. Photos have 128 to 224
pixels, trainings some dozen steps. What the rows of the paper's tables compare (losses, transformations, weights to
start from, mining, views of class images) is left as the launchers have it.
"""

from pathlib import Path
from typing import Any

from experiments.paper_baselines import COAE_SIZES, DETECTOR_SIZES, joint_detector
from experiments.small_baselines import SMALL_DETECTOR, SMALL_RETRIEVAL
from orchestration.derive import Changes
from orchestration.describe import Resources
from os2d.miniature.parameters import CHANNELS, KERNEL_SIZES, TEMPLATE_GRID

ONE_CORE = Resources(cpus=1, memory_gb=1.8)

SHELVES, SINGLES = 194.0, 111.0
"""Sizes, ``sqrt(width * height)``, of the photos of shelves and of those of INSTRE and ImageNet."""
SCALES = {
    1280.0: SHELVES,  # grozi
    3500.0: SHELVES,  # dairy, paste-v
    2000.0: SHELVES,  # paste-f
    700.0: SINGLES,  # instre-s1
    600.0: SINGLES,  # instre-s2, and ImageNet of the baselines
    250.0: SINGLES,  # ImageNet
}
LISTED_SCALES = {(scale,): [small] for scale, small in SCALES.items()}

SIDES = {"grozi": 168, "instre-s1": 96, "instre-s2": 96, "retail": 168}
"""Shorter sides of the same photos."""

OS2D: Changes = {
    "is_cuda": False,
    "model.backbone_arch": {"ResNet50": "ResNet18", "ResNet101": "ResNet34"},
    "model.backbone_cut": "layer2",
    "model.template_grid": TEMPLATE_GRID,
    "model.template_border": 1,
    "model.class_image_size": 64,
    "model.transform_net.kernel_sizes": KERNEL_SIZES,
    "model.transform_net.channels": CHANNELS,
    "train.dataset_scale": SCALES,
    "train.batch_size": 2,
    "train.class_batch_size": 6,
    "train.augment.train_patch_width": 112,
    "train.augment.train_patch_height": 112,
    "train.mining.mine_hard_patches_iter": 12,
    "train.mining.num_hard_patches_per_image": 2,
    "train.mining.num_random_negative_classes": 2,
    "train.optim.optim_method": "adamw",
    "train.optim.lr": 3e-4,
    "train.optim.max_iter": 24,
    "train.optim.anneal_lr.milestones": [16],
    "eval.iter": 24,
    "eval.dataset_scales": LISTED_SCALES,
    "eval.scales_of_image_pyramid": [1.0],
    "visualization.eval.max_detections": 4,
    "runtime.num_workers": 0,
    "runtime.num_threads": 1,
}

COAE: Changes = {
    "is_cuda": False,
    "model.net": "res18",
    "model.fixed_blocks": -1,
    "model.query_size": 64,
    "model.anchor_scales": [2.75, 3.75],
    "model.anchor_ratios": [1.0],
    "train.epochs": {2000: 12, 100: 3, 20: 1},
    "train.scales": {tuple(COAE_SIZES[data]["train.scales"]): [side] for data, side in SIDES.items()},
    "train.proposals.before_nms": 500,
    "train.proposals.after_nms": 40,
    "train.rpn.samples": 64,
    "train.head.samples": 12,
    "train.optim.optim_method": "adam",
    "train.optim.lr": 3e-4,
    "train.optim.milestones": [],
    "eval.iter": 1000,
    "eval.scales": {tuple(COAE_SIZES[data]["eval.scales"]): [side] for data, side in SIDES.items()},
    "eval.proposals.before_nms": 500,
    "eval.proposals.after_nms": 16,
    "runtime.num_workers": 0,
    "runtime.num_threads": 1,
}

SMALL_FPN = SMALL_DETECTOR | {
    "MODEL.RESNETS.NORM": "FrozenBN",
    "MODEL.RPN.FPN_POST_NMS_TOP_N_TEST": 40,
    "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 16,
}
NUM_CLASSES = "MODEL.ROI_BOX_HEAD.NUM_CLASSES"

DETECTOR: Changes = {
    **{key: value for key, value in SMALL_FPN.items() if key != NUM_CLASSES},
    "INPUT.MIN_SIZE_TRAIN": {sides: (SIDES.get(data, 96),) for data, sides in DETECTOR_SIZES.items()},
    "INPUT.MIN_SIZE_TEST": {960: 168, 420: 96, 360: 96, 450: 96},
    "SOLVER.MAX_ITER": 30,
    "SOLVER.STEPS": (24,),
    "SOLVER.WARMUP_ITERS": 5,
    "SOLVER.VALIDATION_PERIOD": 1000,
    "TEST.BBOX_AUG.SCALES": (112,),
    "runtime.num_threads": 1,
}
CATALOGUE = {
    "catalog://ImageNetPretrained/MSRA/R-50": "models/MSRA-R-50.pkl",
    "catalog://ImageNetPretrained/MSRA/R-101": "models/MSRA-R-101.pkl",
    "torchvision-R-18.pkl": "models/torchvision-R-18.pkl",
    "detectron2://ImageNetPretrained/torchvision/R-50.pkl": "models/detectron2/ImageNetPretrained/torchvision/R-50.pkl",
}
"""Weights that are named by a catalogue -> their place."""
OF_COAE = {"models/resnet101-5d3b4d8f.pth": "models/coae/resnet101-5d3b4d8f.pth"}
"""What OS2D takes a ResNet-34 from, CoAE takes a ResNet-18 from: the file is another one."""

PREPARATION: Changes = {
    "prepare.train_scale": SCALES,
    "prepare.val_scale": SCALES,
    "prepare.test_scales": LISTED_SCALES,
    "runtime.num_workers": 0,
    "runtime.num_threads": 1,
}

RETRIEVAL: Changes = SMALL_RETRIEVAL | {
    "train.epochs": {100: 1, 0: 0},
    "train.negatives": 2,
    "train.queries": 20,
    "train.pool": 40,
    "runtime.num_threads": 1,
}

JOINT: Changes = {
    "is_cuda": False,
    **joint_detector(SMALL_FPN),
    "joint.retrieval_image_size": 64,
    "eval.dataset_scales": LISTED_SCALES,
    "eval.scales_of_image_pyramid": [1.0],
    "visualization.eval.max_detections": 4,
    "runtime.num_workers": 0,
    "runtime.num_threads": 1,
}

ONENET: Changes = {
    "MODEL.DEVICE": "cpu",
    "MODEL.RESNETS.DEPTH": {18: 18, 50: 18},
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.OneNet.DECONV_CHANNEL": [512, 64, 64, 32],
    "MODEL.OneNet.NUM_CLASSES": 3,
    "MODEL.OneNet.NUM_CONV": 1,
    "MODEL.FPN.OUT_CHANNELS": 64,
    "INPUT.MIN_SIZE_TRAIN": (96,),
    "INPUT.MAX_SIZE_TRAIN": 160,
    "INPUT.MIN_SIZE_TEST": 96,
    "INPUT.MAX_SIZE_TEST": 160,
    "INPUT.CROP.ENABLED": False,
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.IMS_PER_BATCH": 4,
    "SOLVER.BASE_LR": 5e-4,
    "SOLVER.MAX_ITER": 30,
    "SOLVER.STEPS": (24,),
    "SOLVER.WARMUP_ITERS": 5,
    "TEST.EVAL_PERIOD": 0,
    "TEST.MEASURE_SPEED": {False: False, True: True},
}


def one_episode(names: list[str]) -> list[str]:
    """Return one episode for the 50 of a job, and other data sets as they are."""
    start = "imagenet-repmet-test-episode-"
    return [f"{start}{int(names[0].removeprefix(start)) // 50}"] if names[0].startswith(start) else names


def fewer_boxes(names: Any) -> Any:
    """Return names of data sets with as many boxes for validation on ImageNet as the miniature has."""
    if isinstance(names, str):
        return names.replace("imagenet-repmet-val-5000", "imagenet-repmet-val-6")
    return type(names)(map(fewer_boxes, names))


def changes(folder: Path) -> dict[str, Changes]:
    """Return the changes of each task, with data and weights from the folder of a miniature."""

    def weights(path: str) -> str:
        """Return the same file below the folder; the published paths are relative to the project or its ``data``."""
        found = CATALOGUE.get(path, path)
        return str(folder / found.removeprefix("data/")) if found else ""

    def coae_weights(path: str) -> str:
        return weights(OF_COAE.get(path, path))

    root = {"runtime.data_root": str(folder)}
    os2d = {**OS2D, **root, "eval.dataset_names": one_episode, "init.model": weights, "init.transform": weights}
    coae = {**COAE, **root, "init.model": coae_weights}
    detector = {
        **DETECTOR,
        **root,
        "MODEL.WEIGHT": weights,
        "DATASETS.TRAIN": fewer_boxes,
        "DATASETS.TEST": fewer_boxes,
    }
    preparation = {
        **PREPARATION,
        **root,
        "prepare.train": fewer_boxes,
        "prepare.val": fewer_boxes,
        "prepare.tests": fewer_boxes,
    }
    retrieval = {
        **RETRIEVAL,
        **root,
        "data.tests": fewer_boxes,
        "init.network": weights,
        "init.whitening": weights,
    }
    onenet = {**ONENET, "DATASETS.ROOT": str(folder), "MODEL.WEIGHTS": weights}
    return {
        "os2d.tasks:train": os2d,
        "os2d.tasks:initialise": os2d,
        "os2d.tasks:evaluate": os2d,
        "baselines.coae.tasks:train": coae,
        "baselines.coae.tasks:evaluate": coae,
        "baselines.detector_retrieval.tasks:detector_train": detector,
        "baselines.detector_retrieval.tasks:detector_evaluate": detector,
        "baselines.detector_retrieval.tasks:retrieval_prepare": preparation,
        "baselines.detector_retrieval.tasks:retrieval_train": retrieval,
        "baselines.detector_retrieval.tasks:joint_evaluate": {**JOINT, **root, "eval.dataset_names": one_episode},
        "baselines.onenet.tasks:train": onenet,
        "baselines.onenet.tasks:evaluate": onenet,
    }
