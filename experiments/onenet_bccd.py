"""OneNet from random weights on photos of blood cells: three classes, 205 photos to learn from.

ResNet-18 without deformable convolutions. ``onenet-bccd`` needs a GPU; its rows compare the paper's assignment with the
Hungarian one. ``onenet-bccd-short`` shows on a CPU, on small copies of the photos, that the network learns; it takes
minutes. The data (``bccd/annotations``, ``bccd/train``, ``bccd/val``) lies below DETECTRON2_DATASETS.

    DETECTRON2_DATASETS=data oneshot run experiments/onenet_bccd.py --only onenet-bccd-short
"""

from orchestration.describe import Column, Experiment, Resources, Table, Variant
from orchestration.script import main

BCCD = {
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.RESNETS.DEPTH": 18,
    "MODEL.RESNETS.NORM": "BN",
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.OneNet.NUM_CLASSES": 3,
    "MODEL.OneNet.DCN": False,
    "MODEL.OneNet.DECONV_CHANNEL": [512, 256, 128, 64],
    "INPUT.MIN_SIZE_TRAIN": (192, 224, 256),
    "INPUT.MAX_SIZE_TRAIN": 400,
    "INPUT.MIN_SIZE_TEST": 240,
    "INPUT.MAX_SIZE_TEST": 400,
    "DATASETS.REGISTERED": [
        ["bccd_train", "bccd/train", "bccd/annotations/instances_train.json"],
        ["bccd_val", "bccd/val", "bccd/annotations/instances_val.json"],
    ],
    "DATASETS.TRAIN": ("bccd_train",),
    "DATASETS.TEST": ("bccd_val",),
    "SOLVER.IMS_PER_BATCH": 16,
    "SOLVER.BASE_LR": 5e-4,
    "SOLVER.WARMUP_ITERS": 100,
    "SOLVER.MAX_ITER": 2000,
    "SOLVER.STEPS": (1500, 1800),
    "SOLVER.CHECKPOINT_PERIOD": 1000,
    "TEST.EVAL_PERIOD": 250,
}

bccd = Experiment(
    name="onenet-bccd",
    task="baselines.onenet.tasks:train",
    config=BCCD,
    variants=[
        Variant("minimum cost"),
        Variant("Hungarian", {"MODEL.OneNet.MATCHER": "Hungarian"}),
    ],
    resources=Resources(cpus=4, gpus=1, memory_gb=8),
)

short = Experiment(
    name="onenet-bccd-short",
    task="baselines.onenet.tasks:train",
    config=BCCD
    | {
        "MODEL.DEVICE": "cpu",
        "INPUT.MIN_SIZE_TRAIN": (112, 128, 144),
        "INPUT.MIN_SIZE_TEST": 128,
        "DATALOADER.NUM_WORKERS": 1,
        "SOLVER.IMS_PER_BATCH": 8,
        "SOLVER.WARMUP_ITERS": 30,
        "SOLVER.MAX_ITER": 320,
        "SOLVER.STEPS": (270,),
        "TEST.EVAL_PERIOD": 80,
    },
    variants=[Variant("minimum cost")],
    resources=Resources(cpus=2, memory_gb=4),
)

COLUMNS = [
    Column("AP", "AP_bccd_val"),
    Column("AP50", "AP50_bccd_val"),
    Column("AP75", "AP75_bccd_val"),
    Column("red cells", "AP/RBC_bccd_val"),
    Column("white cells", "AP/WBC_bccd_val"),
    Column("platelets", "AP/Platelets_bccd_val"),
]

table = Table(
    name="onenet-bccd",
    title="OneNet on blood cells, box AP of the validation photos",
    experiment=bccd,
    columns=COLUMNS,
)

short_table = Table(
    name="onenet-bccd-short",
    title="OneNet on small photos of blood cells after 320 iterations on a CPU, box AP of the validation photos",
    experiment=short,
    columns=COLUMNS,
)

if __name__ == "__main__":
    main(__file__)
