"""The quickstart's rows on a folder of your own photos.

    oneshot run experiments/own_photos.py --data PATH

The folder holds ``classes/<one>.csv``, ``classes/images/`` and ``src/<nominal size>/``, and its rows have a ``split``
of ``train`` or ``val`` (other names: ``--train-split``, ``--val-split``). Photos are scaled so that the median object
is as large as the detector's anchors. 100 steps are a first look; ``--steps 1000`` learns more.
"""

from pathlib import Path

from experiments.small_os2d import ANCHOR_PX, LOSS_ROWS, SMALL_OS2D
from orchestration.describe import Column, Experiment, Resources, Table, seeds
from orchestration.script import main
from os2d.data.catalog import find_dataset
from os2d.data.object_sizes import recommended_scale


def describe(
    data: Path, train_split: str = "train", val_split: str = "val", steps: int = 100
) -> list[Experiment | Table]:
    """Describe training on one split and evaluation on both."""
    folder = data.expanduser().absolute()
    train, val = (f"custom:{folder}#{split}" for split in (train_split, val_split))
    scale = float(recommended_scale(train, folder, ANCHOR_PX))
    last_quarter = max(steps * 3 // 4, 1)
    experiment = Experiment(
        name=f"own-photos-{folder.name}",
        task="os2d.tasks:train",
        config=SMALL_OS2D
        | {
            "train.dataset_name": train,
            "train.dataset_scale": scale,
            "eval.dataset_names": [train, val],
            "eval.dataset_scales": [scale],
            "train.optim.max_iter": steps,
            "train.optim.anneal_lr.milestones": [last_quarter],
            "eval.iter": last_quarter,
        },
        variants=LOSS_ROWS,
        seeds=seeds(2),
        resources=Resources(cpus=1, memory_gb=3),
    )
    columns = [
        Column(f"{split} photos", f"mAP@0.50_{find_dataset(name, folder).name}", scale=100, digits=1)
        for split, name in ((train_split, train), (val_split, val))
    ]
    title = f"OS2D on {folder.name}: mAP@0.50, percent"
    return [experiment, Table(name=experiment.name, title=title, experiment=experiment, columns=columns)]


if __name__ == "__main__":
    main(__file__)
