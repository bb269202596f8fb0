"""The second experiment of a new user: OS2D, CoAE and detector + retrieval on the same data, in one table.

All three learn from random weights on the generated ``shelf`` data, on a CPU, with small backbones, and search every
class in every image of the two validation splits. The third system is a chain of tasks that need each other: a
detector that proposes boxes, pictures cut from the training data, a retrieval network that learns from those, and the
evaluation of both together.

After so few steps CoAE finds the products but hardly tells them apart. Its published protocol searches an image only
for the classes that are in it; the row of that name compares with nothing else in the table.

    oneshot run experiments/compare_shelf.py            # --quick: a few steps, to see that everything works
"""

from collections.abc import Mapping

from experiments.small_baselines import LONGER_SIDE_PX, SMALL_COAE, SMALL_DETECTOR, SMALL_RETRIEVAL
from experiments.small_os2d import SMALL_OS2D
from orchestration.describe import Column, Experiment, Need, Resources, Row, Table, Variant
from orchestration.script import main
from os2d.data.shelf.parameters import ShelfParameters

SEEN, UNSEEN = "shelf-val-old-cl", "shelf-val-new-cl"
ONE_CORE = Resources(cpus=1, memory_gb=3)
OS2D_SCALES = {"train.dataset_scale": 264.0, "eval.dataset_scales": [264.0]}
CROPS = "retrieval-rndCropPerImage2"

FEW_STEPS: dict[str, dict[str, object]] = {
    "os2d": {"train.optim.max_iter": 2},
    "coae": {"train.epochs": 1, "train.batch_size": 20, "train.scales": [64], "eval.proposals.after_nms": 2},
    "detector": {"SOLVER.MAX_ITER": 2, "SOLVER.STEPS": (1,), "SOLVER.WARMUP_ITERS": 1},
    "retrieval": {"train.epochs": 1, "train.queries": 5, "train.pool": 20},
}


def describe(quick: bool = False) -> list[Experiment | Table]:
    """Describe the trainings, the evaluations that need them, and the table."""
    few = FEW_STEPS if quick else dict[str, dict[str, object]].fromkeys(FEW_STEPS, {})
    evaluations = [
        _os2d({**SMALL_OS2D, **OS2D_SCALES, **few["os2d"]}),
        _coae({**SMALL_COAE, **few["coae"]}),
        _detector_and_retrieval({**SMALL_DETECTOR, **few["detector"]}, {**SMALL_RETRIEVAL, **few["retrieval"]}),
    ]
    per_image = 1000 / ShelfParameters().val_images
    table = Table(
        name="compare-shelf",
        title="One-shot detectors on generated shelves: mAP@0.50, percent",
        experiment=evaluations,
        rows=[
            Row("OS2D", experiment="compare-os2d"),
            Row("CoAE", variant="every class"),
            Row("CoAE, present classes", variant="present classes"),
            Row("detector + retrieval", experiment="compare-detector-retrieval"),
        ],
        caption="Training without evaluations; evaluation of the images of unseen classes.",
        columns=[
            Column("seen classes", f"mAP@0.50_{SEEN}", scale=100),
            Column("unseen classes", f"mAP@0.50_{UNSEEN}", scale=100),
            Column("training, s", "training_time", digits=0, lower_is_better=True),
            Column("ms per image", f"eval_time_{UNSEEN}", scale=per_image, digits=0, lower_is_better=True),
            Column("parameters, M", "parameters", scale=1e-6, lower_is_better=True),
        ],
    )
    return [*evaluations, table]


def _os2d(config: Mapping[str, object]) -> Experiment:
    training = Experiment(
        "compare-os2d-training",
        "os2d.tasks:train",
        {**config, "train.dataset_name": "shelf-train", "eval.dataset_names": [SEEN]},
        resources=ONE_CORE,
    )
    return Experiment(
        "compare-os2d",
        "os2d.tasks:evaluate",
        {**config, "eval.dataset_names": [SEEN, UNSEEN]},
        needs={"model": Need(training)},
        resources=ONE_CORE,
    )


def _coae(config: Mapping[str, object]) -> Experiment:
    training = Experiment(
        "compare-coae-training",
        "baselines.coae.tasks:train",
        {**config, "train.dataset_name": "shelf-train", "eval.dataset_names": [SEEN]},
        resources=ONE_CORE,
    )
    return Experiment(
        "compare-coae",
        "baselines.coae.tasks:evaluate",
        {**config, "eval.dataset_names": [SEEN, UNSEEN]},
        [
            Variant("every class", {"eval.searched_classes": "all"}),
            Variant("present classes", {"eval.searched_classes": "present"}),
        ],
        needs={"model": Need(training)},
        resources=ONE_CORE,
    )


def _detector_and_retrieval(detector: Mapping[str, object], retrieval: Mapping[str, object]) -> Experiment:
    detector_training = Experiment(
        "compare-detector",
        "baselines.detector_retrieval.tasks:detector_train",
        {**detector, "DATASETS.TRAIN": ("shelf-train",), "DATASETS.TEST": (SEEN,)},
        resources=ONE_CORE,
    )
    size = float(ShelfParameters().image_size)
    pictures = Experiment(
        "compare-retrieval-pictures",
        "baselines.detector_retrieval.tasks:retrieval_prepare",
        {
            "prepare": {"train": "shelf-train", "val": SEEN, "tests": [SEEN], "random_crops": 2},
            "prepare.train_scale": size,
            "prepare.val_scale": size,
            "prepare.test_scales": [size],
        },
        resources=ONE_CORE,
    )
    retrieval_training = Experiment(
        "compare-retrieval",
        "baselines.detector_retrieval.tasks:retrieval_train",
        {**retrieval, "data.train": f"shelf-train-{CROPS}", "data.tests": [f"{SEEN}-{CROPS}"]},
        needs={"data": Need(pictures)},
        resources=ONE_CORE,
    )
    return Experiment(
        "compare-detector-retrieval",
        "baselines.detector_retrieval.tasks:joint_evaluate",
        {
            "is_cuda": False,
            "joint.detector_options": [str(word) for setting in detector.items() for word in setting],
            "joint.retrieval_image_size": 64,
            "eval.dataset_names": [SEEN, UNSEEN],
            "eval.dataset_scales": [LONGER_SIDE_PX],
            "eval.scales_of_image_pyramid": [1.0],
            "runtime.num_workers": 0,
        },
        needs={"detector": Need(detector_training), "retrieval": Need(retrieval_training)},
        resources=ONE_CORE,
    )


if __name__ == "__main__":
    main(__file__)
