"""The appendix of the OS2D paper on ImageNet: 1-shot 5-way detection on the 500 episodes of RepMet's protocol.

A mean is over episodes, and so is its standard deviation. The published script counted episodes 1 to 4 as 19, 29, 39
and 49; here every episode counts once, as itself.

    oneshot run experiments/imagenet_episodes.py --launcher slurm
    oneshot table experiments/imagenet_episodes.py
"""

from experiments.launcher_detret_imagenet_eval import detret_imagenet_eval
from experiments.launcher_imagenet_eval import episodes_evaluation
from experiments.published import OS2D_PAPER, UNPUBLISHED
from orchestration.describe import Column, Row, Table
from orchestration.script import main

EPISODES = 500
OF_REPMET = "of the RepMet paper; its program is not part of this repository"

ROWS = [
    Row(
        "OS2D V2-init (released model, scale 250, horizontal flips)",
        tags={"system": "os2d", "model": "V2-init"},
    ),
    Row("OS2D V1-init / sliding window", tags={"system": "os2d", "model": "V1-init"}),
    Row("Main baseline (detector + retrieval)", tags={"system": "detret"}),
    Row("RepMet, no fine-tuning on the episode", unfilled=OF_REPMET),
    Row("RepMet, fine-tuned on the episode", unfilled=OF_REPMET),
    Row("RepMet paper baseline: fine-tuned FPN-DCN", unfilled=OF_REPMET),
    Row("RepMet paper baseline: DML without the joint training", unfilled=OF_REPMET),
]


GROUPS = {"mAP@0.50 (mean over classes)": "mAP@0.50", "AP_joint_classes@0.50 (classes merged)": "AP_joint_classes@0.50"}


def _columns(group: str, metric: str) -> list[Column]:
    metric = f"{metric}_imagenet-repmet-test-episode-*"
    return [
        Column("mean", metric, scale=100, digits=2, group=group, values=EPISODES),
        Column("largest", metric, scale=100, digits=2, group=group, values=EPISODES, statistic="max"),
        Column("smallest", metric, scale=100, digits=2, group=group, values=EPISODES, statistic="min"),
    ]


def episodes_table() -> Table:
    """Return the table over the episodes of all jobs."""
    return Table(
        name="imagenet-episodes",
        title="OS2D, appendix: 1-shot 5-way detection on episodes of ImageNet",
        unit="percent",
        experiment=[episodes_evaluation(), detret_imagenet_eval],
        rows=ROWS,
        columns=[column for group, metric in GROUPS.items() for column in _columns(group, metric)],
        published={
            (row.title, f"{group} {extreme}"): UNPUBLISHED
            for row in ROWS
            for group in GROUPS
            for extreme in ("largest", "smallest")
        },
        published_in=f"appendix D of {OS2D_PAPER}",
        caption="Objects of all classes of an episode are searched in all its images. Which of the two measures the "
        "paper tabulates could not be confirmed.",
    )


def describe() -> list[Table]:
    """Describe the table and what it is made of."""
    return [episodes_table()]


if __name__ == "__main__":
    main(__file__)
