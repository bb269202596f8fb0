"""The first experiment of a new user: whether training pays, and which loss pays most.

A small OS2D detector (ResNet-18 to stride 8, 7 x 7 templates, so 56-pixel anchors) learns from random weights on the
generated ``shelf`` data, on a CPU, in about a minute per trial. Every row is run with two seeds; the table shows the
mAP on new images of the classes seen in training and of classes never seen.

    oneshot run experiments/quickstart.py
"""

from experiments.small_os2d import LOSS_ROWS, SMALL_OS2D
from orchestration.describe import Column, Experiment, Resources, Table, seeds
from orchestration.script import main

quickstart = Experiment(
    name="quickstart",
    task="os2d.tasks:train",
    config=SMALL_OS2D
    | {
        "train.dataset_name": "shelf-train",
        "train.dataset_scale": 264.0,
        "eval.dataset_names": ["shelf-val-old-cl", "shelf-val-new-cl"],
        "eval.dataset_scales": [264.0],
    },
    variants=LOSS_ROWS,
    seeds=seeds(2),
    resources=Resources(cpus=1, memory_gb=3),
)

table = Table(
    name="quickstart",
    title="OS2D on generated shelves: mAP@0.50, percent",
    experiment=quickstart,
    columns=[
        Column("seen classes", "mAP@0.50_shelf-val-old-cl", scale=100, digits=1),
        Column("unseen classes", "mAP@0.50_shelf-val-new-cl", scale=100, digits=1),
    ],
)

if __name__ == "__main__":
    main(__file__)
