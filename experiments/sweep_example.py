"""Look for good settings of the quickstart's small OS2D: copy this file, change the metric, the space and the rule.

Learning rate x margin of the loss x augmentation, 12 combinations; ASHA compares them after 25 and 50 of 100 steps and
stops the worse half each time. The trials that are left run to their end, about a minute each on a CPU.

    oneshot plan experiments/sweep_example.py
    oneshot run experiments/sweep_example.py
    oneshot table experiments/sweep_example.py
"""

from experiments.quickstart import quickstart
from orchestration.describe import ASHA, Sweep, Variant, grid
from orchestration.script import main

sweep = Sweep.of(
    quickstart,
    "quickstart-sweep",
    variants=[Variant("RLL", {"train.objective.remap_classification_targets": False, "eval.iter": 25})],
    seeds=[0],
    space=grid(
        {
            "train.optim.lr": [3e-4, 1e-3, 3e-3],
            "train.objective.neg_margin": [0.2, 0.5],
            "train.augment.random_flip_batches": [False, True],
        }
    ),
    metric="mAP@0.50_shelf-val-new-cl",
    scheduler=ASHA(max_step=100, grace=25, reduction_factor=2),
)

if __name__ == "__main__":
    main(__file__)
