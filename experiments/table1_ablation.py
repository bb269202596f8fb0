"""Table 1 of the OS2D paper: which parts of the training matter.

The trainings are those of ``launcher_exp1.py``.

oneshot run experiments/table1_ablation.py --launcher slurm            # --seeds 3 for more than was published
oneshot table experiments/table1_ablation.py
"""

from experiments.launcher_exp1 import ablation
from experiments.published import OS2D_PAPER, OS2D_TABLE_1
from orchestration.describe import Column, Row, Table
from orchestration.script import main

SIMPLE, INVERTED, FULL = "V1", "V2", "V1, full affine, not inverted"

ROWS = [
    Row("exp1#0", "exp1.0.lossCL", labels=("0", SIMPLE, "CL", "no", "no", "no", "0.2")),
    Row("exp1#1", "exp1.1.lossRLL", labels=("1", SIMPLE, "RLL", "no", "no", "no", "0.2")),
    Row("exp1#2", "exp1.2.lossRLL_remap", labels=("2", SIMPLE, "RLL", "yes", "no", "no", "0.2")),
    Row("exp1#3", "exp1.3.lossRLL_remap_mine", labels=("3", SIMPLE, "RLL", "yes", "yes", "no", "0.2")),
    Row("exp1#4", "exp1.4.lossRLL_remap_invFullAffine", labels=("4", INVERTED, "RLL", "yes", "no", "no", "0.2")),
    Row("exp1#5", "exp1.5.lossRLL_remap_mine_fullAffine", labels=("5", FULL, "RLL", "yes", "yes", "no", "0.2")),
    Row(
        "exp1#6",
        "exp1.6.lossRLL_remap_invFullAffine_initTranform",
        labels=("6", INVERTED, "RLL", "yes", "no", "yes", "0.2"),
    ),
    Row(
        "exp1#7",
        "exp1.7.lossRLL_remap_invFullAffine_initTranform_zeroLocLoss",
        labels=("7", INVERTED, "RLL", "yes", "no", "yes", "0.0"),
    ),
    Row(
        "exp1#8",
        "exp1.8.lossRLL_remap_invFullAffine_initTranform_zeroLocLoss_mine",
        labels=("8", INVERTED, "RLL", "yes", "yes", "yes", "0.0"),
    ),
    Row(
        "exp1#9",
        "exp1.9.lossCL_invFullAffine_initTranform_zeroLocLoss",
        labels=("9", INVERTED, "CL", "no", "no", "yes", "0.0"),
    ),
    Row(
        "exp1#10",
        "exp1.10.lossCL_remap_invFullAffine_initTranform_zeroLocLoss",
        labels=("10", INVERTED, "CL", "yes", "no", "yes", "0.0"),
    ),
    Row(
        "exp1#11",
        "exp1.11.lossRLL_invFullAffine_initTranform_zeroLocLoss",
        labels=("11", INVERTED, "RLL", "no", "no", "yes", "0.0"),
    ),
]


def ablation_table(seeds: int = 1) -> Table:
    """Return the table over its trainings."""
    return Table(
        name="table1",
        title="OS2D, Table 1: validation mAP of the training configurations",
        unit="mAP@0.50, percent",
        experiment=ablation(seeds),
        heads=["Job", "Transform", "Loss", "Remap", "Mining", "Init transform", "Loc weight"],
        rows=ROWS,
        columns=[Column("grozi-val-new-cl", "mAP@0.50_grozi-val-new-cl", reduce="max", scale=100)],
        published=OS2D_TABLE_1,
        published_in=f"Table 1 of {OS2D_PAPER}",
        caption="As published, the best of all evaluations of a training: chosen on the data it is measured on.",
    )


def describe(seeds: int = 1) -> list[Table]:
    """Describe the table and what it is made of."""
    return [ablation_table(seeds)]


if __name__ == "__main__":
    main(__file__)
