"""Table 3 of the OS2D paper: OS2D and its baselines on five test sets of products in shops.

One command trains everything and evaluates it: two OS2D, CoAE, the detectors, the retrieval networks.

    oneshot run experiments/table3_retail.py --launcher slurm              # --seeds 3: more than published
    oneshot table experiments/table3_retail.py
"""

from dataclasses import replace

from experiments.launcher_coae_grozi_eval import coae_grozi_eval
from experiments.launcher_detector_train import detector_train
from experiments.launcher_detret_grozi_eval import detret_grozi_eval
from experiments.launcher_grozi_eval import retail_evaluation
from experiments.paper_baselines import with_seeds
from experiments.published import OS2D_PAPER, OS2D_TABLE_3
from orchestration.describe import Column, Experiment, Row, Table
from orchestration.script import main

TELLS_CLASSES = "tells apart the classes it was trained on, and no others"
SEEN_CLASSES_ONLY = dict.fromkeys(["grozi-val-new-cl", "dairy", "paste-v", "paste-f"], TELLS_CLASSES)


def _of_os2d(title: str, model: str, trained: str) -> Row:
    return Row(title, tags={"system": "os2d", "model": model}, labels=(title, trained))


def _of_baseline(title: str, system: str, model: str, trained: str) -> Row:
    return Row(title, tags={"system": system, "model": model}, labels=(title, trained))


def _of_detector(title: str, arch: str) -> Row:
    return Row(
        title,
        tags={"system": "detector", "arch": arch},
        labels=(title, "yes"),
        comparable=False,
        not_applicable=SEEN_CLASSES_ONLY,
    )


ROWS = [
    _of_detector("Class detector (class-aware Faster R-CNN), ResNet-50", "ResNet50"),
    _of_detector("Class detector (class-aware Faster R-CNN), ResNet-101", "ResNet101"),
    _of_baseline("Main baseline (detector + retrieval), init", "detret", "init", "no"),
    _of_baseline("Main baseline (detector + retrieval), train", "detret", "train", "yes"),
    Row(
        "Sliding window, square",
        labels=("Sliding window, square", "no"),
        unfilled="no launcher in the published repository",
    ),
    _of_os2d("Sliding window, target aspect ratio (V1-init)", "V1-init", "no"),
    _of_baseline("CoAE (Hsieh et al.)", "coae", "train", "yes"),
    _of_os2d("OS2D V1-train", "V1-train", "yes"),
    _of_os2d("OS2D V2-init", "V2-init", "no"),
    _of_os2d("OS2D V2-train", "V2-train", "yes"),
]


def _column(data: str) -> Column:
    return Column(data, f"mAP@0.50_{data}", reduce="max", scale=100, tags={"data": data})


def class_detectors() -> Experiment:
    """Return the two detectors of the table, of the eight of their launcher."""
    tell_classes = [variant for variant in detector_train.variants if "-withCl-" in variant.name]
    return replace(detector_train, name="detector_train-classes", variants=tell_classes)


def retail_table(seeds: int = 1) -> Table:
    """Return the table over all evaluations."""
    return Table(
        name="table3",
        title="OS2D, Table 3: comparison with baselines on the retail product sets",
        unit="mAP@0.50, percent",
        experiment=[
            *(with_seeds(one, seeds) for one in (class_detectors(), detret_grozi_eval, coae_grozi_eval)),
            retail_evaluation(seeds),
        ],
        heads=["Method", "Trained"],
        rows=ROWS,
        columns=[_column(data) for data in ("grozi-val-old-cl", "grozi-val-new-cl", "dairy", "paste-v", "paste-f")],
        published=OS2D_TABLE_3,
        published_in=f"Table 3 of {OS2D_PAPER}",
        caption="paste-f counts every box, and searches four rotations of the class images. Class detectors: the best "
        "evaluation of the training; they solve another problem and compare with nothing else here.",
    )


def describe(seeds: int = 1) -> list[Table]:
    """Describe the table and what it is made of."""
    return [retail_table(seeds)]


if __name__ == "__main__":
    main(__file__)
