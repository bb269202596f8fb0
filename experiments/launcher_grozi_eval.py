"""Table 3 of the OS2D paper, its rows of OS2D: four networks on the five retail test sets.

Two of them are trained by ``launcher_exp1.py`` and ``launcher_exp2.py``, two are what those trainings start from. With
the untrained TransformNet of V1, which is the identity, V1-init is the baseline of sliding windows.

    oneshot run experiments/launcher_grozi_eval.py --launcher slurm        # runs the two trainings first
    python ./experiments/launcher_grozi_eval.py --slurm --job-names eval_grozi.3.dairy
"""

from experiments.launcher_exp1 import ablation
from experiments.launcher_exp2 import initialisations
from experiments.paper_os2d import (
    EVALUATION,
    ONE_EVALUATION,
    RESNET50,
    RESNET101,
    V1,
    V2,
    Settings,
    at_start,
    evaluation_names,
)
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

V1_TRAINING = "exp2.7.v1"
V2_TRAINING = "exp1.8.lossRLL_remap_invFullAffine_initTranform_zeroLocLoss_mine"

DATA: list[tuple[str, Settings]] = [
    ("grozi-val-new-cl", {"eval.dataset_scales": [1280.0]}),
    ("grozi-val-old-cl", {"eval.dataset_scales": [1280.0]}),
    ("dairy", {"eval.dataset_scales": [3500.0]}),
    ("paste-v", {"eval.dataset_scales": [3500.0]}),
    ("paste-f", {"eval.dataset_scales": [2000.0], "eval.class_image_augmentation": "rotation90"}),
]


def retail_evaluation(seeds: int = 1) -> Experiment:
    """Return the evaluations."""
    networks = [
        ("V1-train", V1 | RESNET101, Need(initialisations(seeds), V1_TRAINING)),
        ("V2-train", V2 | RESNET50, Need(ablation(seeds), V2_TRAINING)),
        ("V2-init", V2 | RESNET50, Need(at_start(ablation(seeds)), V2_TRAINING)),
        ("V1-init", V1 | RESNET101, Need(at_start(initialisations(seeds)), V1_TRAINING)),
    ]
    return Experiment(
        name="grozi_eval",
        task="os2d.tasks:evaluate",
        config=EVALUATION,
        variants=[
            Variant(
                f"eval_grozi.{number}.{data}",
                {**network, **settings, "eval.dataset_names": [data]},
                tags={"model": model, "arch": network["model.backbone_arch"], "data": data},
                needs={"model": need},
            )
            for data, settings in DATA
            for number, (model, network, need) in enumerate(networks)
        ],
        seeds=range(seeds),
        resources=ONE_EVALUATION,
        tags={"system": "os2d"},
        trial_name=evaluation_names(seeds),
    )


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published evaluations with one seed or several."""
    return [retail_evaluation(seeds)]


if __name__ == "__main__":
    main(__file__)
