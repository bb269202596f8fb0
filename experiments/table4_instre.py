"""Table 4 of the OS2D paper: OS2D and its baselines on the two test sets of INSTRE.

With a ResNet-50 and a ResNet-101 each; one command trains and evaluates all of them.

oneshot run experiments/table4_instre.py --launcher slurm              # --seeds 3: more than published
oneshot table experiments/table4_instre.py
"""

from experiments.launcher_coae_instre_eval import coae_instre_eval
from experiments.launcher_detret_instre_eval import detret_instre_eval
from experiments.launcher_instre_eval import instre_evaluation
from experiments.paper_baselines import with_seeds
from experiments.published import OS2D_PAPER
from orchestration.describe import Column, Row, Table
from orchestration.script import main


def _row(title: str, system: str, model: str, trained: str) -> Row:
    return Row(title, tags={"system": system, "model": model}, labels=(title, trained))


ROWS = [
    _row("Main baseline (detector + retrieval), train", "detret", "train", "yes"),
    _row("Sliding window, target aspect ratio (V1-init)", "os2d", "V1-init", "no"),
    _row("CoAE (Hsieh et al.)", "coae", "train", "yes"),
    _row("OS2D V1-train", "os2d", "V1-train", "yes"),
    _row("OS2D V2-init", "os2d", "V2-init", "no"),
    _row("OS2D V2-train", "os2d", "V2-train", "yes"),
]


def _column(group: str, arch: str, title: str, data: str) -> Column:
    return Column(title, f"mAP@0.50_{data}", scale=100, group=group, tags={"arch": arch, "data": data})


def instre_table(seeds: int = 1) -> Table:
    """Return the table over all evaluations."""
    return Table(
        name="table4",
        title="OS2D, Table 4: results on the INSTRE test sets",
        unit="mAP@0.50, percent",
        experiment=[
            with_seeds(detret_instre_eval, seeds),
            with_seeds(coae_instre_eval, seeds),
            instre_evaluation(seeds),
        ],
        heads=["Method", "Trained"],
        rows=ROWS,
        columns=[
            _column("ResNet-50", "ResNet50", "INSTRE-S1", "instre-s1-test"),
            _column("ResNet-50", "ResNet50", "INSTRE-S2", "instre-s2-test"),
            _column("ResNet-101", "ResNet101", "INSTRE-S1", "instre-s1-test"),
            _column("ResNet-101", "ResNet101", "INSTRE-S2", "instre-s2-test"),
        ],
        published_in=f"Table 4 of {OS2D_PAPER}",
    )


def describe(seeds: int = 1) -> list[Table]:
    """Describe the table and what it is made of."""
    return [instre_table(seeds)]


if __name__ == "__main__":
    main(__file__)
