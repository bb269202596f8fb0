"""The models of OneNet's README, on COCO and on CrowdHuman, beside the numbers there.

Settings are those of the configurations of the same name in ``baselines/onenet/configs``. Weights of ImageNet are as
published (``oneshot models fetch`` gets them); COCO lies in ``datasets/coco``, CrowdHuman in ``datasets/crowdhuman``,
or both below DETECTRON2_DATASETS. A training takes 8 GPUs; those of the authors took 5 to 36 hours on V100. Its
evaluation takes one GPU, and measures frames per second on it as ``oneshot bench onenet`` does; the artifact
``machine.json`` names the device.

    oneshot run experiments/onenet_coco.py --launcher slurm      # --only onenet-crowdhuman-evaluation
    oneshot table experiments/onenet_coco.py
"""

from typing import Any

from experiments.published import ONENET_COCO, ONENET_CROWDHUMAN
from orchestration.describe import Column, Experiment, Need, Resources, Row, Table, Variant
from orchestration.script import main

CENTERNET = {
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.RESNETS.NORM": "BN",
    "SOLVER.BASE_LR": 5e-5,
    "SOLVER.CLIP_GRADIENTS.ENABLED": False,
}

RESNET18 = CENTERNET | {
    "MODEL.WEIGHTS": "torchvision-R-18.pkl",
    "MODEL.RESNETS.DEPTH": 18,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.OneNet.DECONV_CHANNEL": [512, 256, 128, 64],
}

RESNET50_WEIGHTS = {
    "MODEL.WEIGHTS": "detectron2://ImageNetPretrained/torchvision/R-50.pkl",
    "MODEL.RESNETS.DEPTH": 50,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 256,
}

RESNET50 = CENTERNET | RESNET50_WEIGHTS | {"MODEL.OneNet.DECONV_CHANNEL": [2048, 256, 128, 64]}

DCN, PLAIN = {"MODEL.OneNet.DCN": True}, {"MODEL.OneNet.DCN": False}

PYRAMID = RESNET50_WEIGHTS | {
    "MODEL.BACKBONE.NAME": "build_retinanet_resnet_fpn_backbone",
    "MODEL.RESNETS.OUT_FEATURES": ["res3", "res4", "res5"],
    "MODEL.FPN.IN_FEATURES": ["res3", "res4", "res5"],
    "MODEL.OneNet.IN_FEATURES": ["p3", "p4", "p5", "p6", "p7"],
    "SOLVER.IMS_PER_BATCH": 16,
    "INPUT.MIN_SIZE_TRAIN": (640, 672, 704, 736, 768, 800, 832, 864, 896),
    "INPUT.MIN_SIZE_TEST": 800,
}
RETINANET = PYRAMID | {
    "MODEL.OneNet.HEAD": "RetinaNet",
    "MODEL.ANCHOR_GENERATOR.SIZES": [[px * 2 ** (third / 3) for third in range(3)] for px in (32, 64, 128, 256, 512)],
}
FCOS = PYRAMID | {"MODEL.OneNet.HEAD": "FCOS"}

COCO = {
    "DATASETS.TRAIN": ("coco_2017_train",),
    "DATASETS.TEST": ("coco_2017_val",),
    "INPUT.CROP.ENABLED": True,
}
LARGE_PHOTOS = {"INPUT.MAX_SIZE_TRAIN": 1500, "INPUT.MAX_SIZE_TEST": 1333}
CROWDHUMAN = {
    "MODEL.OneNet.NUM_CLASSES": 1,
    "DATASETS.TRAIN": ("CrowdHuman_train",),
    "DATASETS.TEST": ("CrowdHuman_val",),
    "INPUT.MAX_SIZE_TRAIN": 1400,
    "INPUT.MAX_SIZE_TEST": 1400,
    "SOLVER.STEPS": (37500,),
    "SOLVER.MAX_ITER": 46875,
    "SOLVER.CHECKPOINT_PERIOD": 5000,
    "TEST.EVAL_PERIOD": 5000,
    "TEST.DETECTIONS_PER_IMAGE": 500,
}

ON_COCO = [
    Variant("R18_dcn", RESNET18 | DCN),
    Variant("R18_nodcn", RESNET18 | PLAIN),
    Variant("R50_dcn", RESNET50 | DCN),
    Variant("R50_nodcn", RESNET50 | PLAIN),
    Variant("R50_RetinaNet", RETINANET | LARGE_PHOTOS),
    Variant("R50_FCOS", FCOS | LARGE_PHOTOS),
]
ON_CROWDHUMAN = [Variant("R50_RetinaNet", RETINANET), Variant("R50_FCOS", FCOS)]


def _training(name: str, data: dict[str, Any], models: list[Variant]) -> Experiment:
    resources = Resources(cpus=32, gpus=8, memory_gb=64)
    return Experiment(name, "baselines.onenet.tasks:train", data, models, resources=resources)


def _evaluation(training: Experiment) -> Experiment:
    return Experiment(
        name=f"{training.name}-evaluation",
        task="baselines.onenet.tasks:evaluate",
        config={**training.config, "TEST.MEASURE_SPEED": True},
        variants=training.variants,
        needs={"model": Need(training)},
        resources=Resources(cpus=4, gpus=1, memory_gb=16),
    )


coco = _training("onenet-coco", COCO, ON_COCO)
crowdhuman = _training("onenet-crowdhuman", CROWDHUMAN, ON_CROWDHUMAN)
coco_evaluation = _evaluation(coco)
crowdhuman_evaluation = _evaluation(crowdhuman)

SPEED = Column("FPS here", "frames_per_second")
CAPTION = "Published: with 8 V100, noise about 0.3 AP; FPS of single images."

coco_table = Table(
    name="onenet-coco",
    title="OneNet on COCO val2017, box AP",
    experiment=coco_evaluation,
    columns=[
        Column("AP", "AP_coco_2017_val"),
        Column("AP50", "AP50_coco_2017_val"),
        Column("AP75", "AP75_coco_2017_val"),
        Column("APs", "APs_coco_2017_val"),
        Column("APm", "APm_coco_2017_val"),
        Column("APl", "APl_coco_2017_val"),
        SPEED,
    ],
    published=ONENET_COCO,
    caption=CAPTION,
    rows=[Row(model.name, variant=model.name) for model in ON_COCO],
)

crowdhuman_table = Table(
    name="onenet-crowdhuman",
    title="OneNet on CrowdHuman, percent",
    experiment=crowdhuman_evaluation,
    columns=[
        Column("AP50", "CrowdHuman/AP_CrowdHuman_val"),
        Column("mMR", "CrowdHuman/mMR_CrowdHuman_val", lower_is_better=True),
        Column("recall", "CrowdHuman/recall_CrowdHuman_val"),
        SPEED,
    ],
    published=ONENET_CROWDHUMAN,
    caption=CAPTION,
    rows=[Row(model.name, variant=model.name) for model in ON_CROWDHUMAN],
)

if __name__ == "__main__":
    main(__file__)
