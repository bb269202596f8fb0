"""The models of OneNet's README on COCO: ResNet-18 and ResNet-50, with and without deformable convolutions.

Weights of ImageNet as the published configurations have them (``oneshot models fetch`` gets them); COCO lies in
``datasets/coco``, or below DETECTRON2_DATASETS. A training takes 8 GPUs, about a day where the authors' took 13 to 36
hours on V100. Its evaluation takes one GPU, and measures frames per second on it as ``oneshot bench onenet`` does; the
artifact ``machine.json`` names the device.

    oneshot run experiments/onenet_coco.py --launcher slurm
    oneshot table experiments/onenet_coco.py
"""

from orchestration.describe import Column, Experiment, Need, Resources, Row, Table, Variant
from orchestration.script import main

COMMON = {
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.RESNETS.NORM": "BN",
    "INPUT.CROP.ENABLED": True,
    "DATASETS.TRAIN": ("coco_2017_train",),
    "DATASETS.TEST": ("coco_2017_val",),
    "SOLVER.BASE_LR": 5e-5,
    "SOLVER.CLIP_GRADIENTS.ENABLED": False,
}

RESNET18 = {
    "MODEL.WEIGHTS": "torchvision-R-18.pkl",
    "MODEL.RESNETS.DEPTH": 18,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.OneNet.DECONV_CHANNEL": [512, 256, 128, 64],
}

RESNET50 = {
    "MODEL.WEIGHTS": "detectron2://ImageNetPretrained/torchvision/R-50.pkl",
    "MODEL.RESNETS.DEPTH": 50,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 256,
    "MODEL.OneNet.DECONV_CHANNEL": [2048, 256, 128, 64],
}

DCN, PLAIN = {"MODEL.OneNet.DCN": True}, {"MODEL.OneNet.DCN": False}

MODELS = [
    Variant("R18_dcn", RESNET18 | DCN),
    Variant("R18_nodcn", RESNET18 | PLAIN),
    Variant("R50_dcn", RESNET50 | DCN),
    Variant("R50_nodcn", RESNET50 | PLAIN),
]

coco = Experiment(
    name="onenet-coco",
    task="baselines.onenet.tasks:train",
    config=COMMON,
    variants=MODELS,
    resources=Resources(cpus=32, gpus=8, memory_gb=64),
)

evaluation = Experiment(
    name="onenet-coco-evaluation",
    task="baselines.onenet.tasks:evaluate",
    config=COMMON | {"TEST.MEASURE_SPEED": True},
    variants=MODELS,
    needs={"model": Need(coco)},
    resources=Resources(cpus=4, gpus=1, memory_gb=16),
)

table = Table(
    name="onenet-coco",
    title="OneNet on COCO val2017, box AP, beside the published numbers",
    experiment=evaluation,
    columns=[
        Column("AP", "AP_coco_2017_val"),
        Column("AP50", "AP50_coco_2017_val"),
        Column("AP75", "AP75_coco_2017_val"),
        Column("APs", "APs_coco_2017_val"),
        Column("APm", "APm_coco_2017_val"),
        Column("APl", "APl_coco_2017_val"),
        Column("FPS here", "frames_per_second"),
    ],
    rows=[
        Row("R18_dcn (published: AP 29.5, 109 FPS)", variant="R18_dcn"),
        Row("R18_nodcn (published: AP 27.5, 138 FPS)", variant="R18_nodcn"),
        Row("R50_dcn (published: AP 35.7, 67 FPS)", variant="R50_dcn"),
        Row("R50_nodcn (published: AP 32.7, 73 FPS)", variant="R50_nodcn"),
    ],
    caption="Published: README of the authors, 8 V100, noise about 0.3 AP; FPS of single images. The newest README has "
    "29.9 and 27.7 for R18.",
)

if __name__ == "__main__":
    main(__file__)
