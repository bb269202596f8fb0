"""Table 2 of the OS2D paper: where the features come from. The trainings are those of ``launcher_exp2.py``.

V2-init is measured by trials of their own, which train nothing: the column can be had without the others.

    oneshot run experiments/table2_initialisations.py --launcher slurm     # --only exp2-v2-init: V2-init alone
    oneshot table experiments/table2_initialisations.py
"""

from dataclasses import replace

from experiments.launcher_exp2 import initialisations
from experiments.paper_os2d import at_start
from experiments.published import OS2D_PAPER, OS2D_TABLE_2
from orchestration.describe import Column, Row, Table
from orchestration.script import main

METRIC = "mAP@0.50_grozi-val-new-cl"


def _row(arch: str, init: str, source_task: str, source_data: str) -> Row:
    labels = (arch, init, source_task, source_data)
    return Row(f"{arch} {init}", tags={"arch": arch, "init": init}, labels=labels)


ROWS = [
    _row("ResNet50", "fromScratch", "none", "none"),
    _row("ResNet50", "imageNetPth", "classification", "ImageNet (PyTorch)"),
    _row("ResNet50", "imageNetCaffe2", "classification", "ImageNet (Caffe2)"),
    _row("ResNet50", "imageNetCaffe2GroupNorm", "classification, group norm", "ImageNet (Caffe2)"),
    _row("ResNet50", "cocoMaskrcnnFpn", "detection", "COCO"),
    _row("ResNet101", "imageNetPth", "classification", "ImageNet (PyTorch)"),
    _row("ResNet101", "imageNetCaffe2", "classification", "ImageNet (Caffe2)"),
    _row("ResNet101", "buildingsCirtorch", "retrieval", "landmarks"),
    _row("ResNet101", "cocoMaskrcnnFpn", "detection", "COCO"),
    _row("ResNet101", "pascalWeakalign", "alignment", "PASCAL"),
]


def initialisations_table(seeds: int = 1) -> Table:
    """Return the table over its trainings and what those of V2 start from."""
    trainings = initialisations(seeds)
    of_v2 = [variant for variant in trainings.variants if variant.tags["model"] == "V2-train"]
    return Table(
        name="table2",
        title="OS2D, Table 2: initialisations of the feature extractor",
        unit="mAP@0.50 on grozi-val-new-cl, percent",
        experiment=[trainings, at_start(replace(trainings, name="exp2-v2", variants=of_v2))],
        heads=["Arch", "Init", "Source task", "Source data"],
        rows=ROWS,
        columns=[
            Column("V1-train", METRIC, reduce="max", scale=100, tags={"model": "V1-train"}),
            Column("V2-init", METRIC, reduce="first", scale=100, tags={"model": "V2-init"}),
            Column("V2-train (no mining)", METRIC, reduce="max", scale=100, tags={"model": "V2-train"}),
        ],
        published=OS2D_TABLE_2,
        published_in=f"Table 2 of {OS2D_PAPER}",
        caption="Trained: the best of all evaluations of a training, as published. V2-init: before the first step.",
    )


def describe(seeds: int = 1) -> list[Table]:
    """Describe the table and what it is made of."""
    return [initialisations_table(seeds)]


if __name__ == "__main__":
    main(__file__)
