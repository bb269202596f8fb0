"""Which loss needs which learning rate? Replace the question, the keys and the values by your own.

With the name of this file for FILE:

    oneshot plan FILE         what would run, and what it asks for; a wrong key or value is found here
    oneshot run FILE          run what is not done; the same command again continues
    oneshot table FILE        the table below, also as Markdown, LaTeX, CSV and HTML
    python FILE --help        the same as a script, with the flags of the published launchers
"""

from experiments.small_os2d import SMALL_OS2D  # a detector so small that it trains on a CPU in about a minute
from orchestration.describe import Column, Experiment, Resources, Table, Variant, grid, seeds
from orchestration.script import main

rates = Experiment(
    name="rates",
    task="os2d.tasks:train",  # "package.module:object"; os2d.tasks:evaluate trains nothing
    # Dotted key: value, over the task's defaults. All keys and their meaning: os2d/config.py.
    config=SMALL_OS2D
    | {
        "train.dataset_name": "shelf-train",  # drawn on first use; `oneshot data list` names all
        "train.dataset_scale": 264.0,
        "eval.dataset_names": ["shelf-val-new-cl"],
        "eval.dataset_scales": [264.0],
        "train.optim.max_iter": 100,
    },
    # Rows of the table: a name, and what it changes.
    variants=[
        Variant("contrastive", {"train.objective.class_objective": "ContrastiveLoss"}),
        Variant("RLL", {"train.objective.class_objective": "RLL"}),
    ],
    # Every variant is run at every point of the space, and each of these once per seed: 2 x 2 x 2 = 8 trials.
    space=grid({"train.optim.lr": [1e-3, 3e-4]}),
    seeds=seeds(2),
    # What one trial occupies; a launcher starts as many as fit. gpus=1 and "is_cuda": True for a graphics card.
    resources=Resources(cpus=1, memory_gb=3, hours=0.5),
)

table = Table(
    name="rates",
    title="mAP@0.50 on classes never seen, percent",
    experiment=rates,
    columns=[Column("unseen classes", "mAP@0.50_shelf-val-new-cl", scale=100, digits=1)],
)

if __name__ == "__main__":
    main(__file__)
