"""Table 4 of the OS2D paper, its rows of OS2D: the trainings of ``launcher_exp3_instre.py`` and what they start from.

oneshot run experiments/launcher_instre_eval.py --launcher slurm       # runs the eight trainings first
python ./experiments/launcher_instre_eval.py --slurm --job-indices 2 3
"""

from experiments.launcher_exp3_instre import instre_trainings
from experiments.paper_os2d import (
    EVALUATION,
    INSTRE_S1,
    INSTRE_S2,
    ONE_EVALUATION,
    RESNET50,
    RESNET101,
    V1,
    V2,
    at_start,
    evaluation_names,
)
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

DATA = {"instre-s1": INSTRE_S1, "instre-s2": INSTRE_S2}
RECIPES = {"v1": V1, "v2": V2}
NETWORKS = {"R50": RESNET50, "R101": RESNET101}

JOBS = [
    ("instre-s1", "v1", "R50", "V1-train"),
    ("instre-s1", "v1", "R101", "V1-train"),
    ("instre-s1", "v1", "R50", "V1-init"),
    ("instre-s1", "v1", "R101", "V1-init"),
    ("instre-s1", "v2", "R50", "V2-train"),
    ("instre-s1", "v2", "R101", "V2-train"),
    ("instre-s1", "v2", "R50", "V2-init"),
    ("instre-s1", "v2", "R101", "V2-init"),
    ("instre-s2", "v1", "R50", "V1-train"),
    ("instre-s2", "v1", "R101", "V1-train"),
    ("instre-s2", "v1", "R50", "V1-init"),
    ("instre-s2", "v1", "R101", "V1-init"),
    ("instre-s2", "v2", "R50", "V2-train"),
    ("instre-s2", "v2", "R101", "V2-train"),
    ("instre-s2", "v2", "R50", "V2-init"),
    ("instre-s2", "v2", "R101", "V2-init"),
]


def instre_evaluation(seeds: int = 1) -> Experiment:
    """Return the evaluations."""
    trained = instre_trainings(seeds)
    untrained = at_start(trained)
    return Experiment(
        name="instre_eval",
        task="os2d.tasks:evaluate",
        config=EVALUATION,
        variants=[
            Variant(
                f"eval_instre.{index}.{data}",
                {**RECIPES[version], **NETWORKS[depth], **DATA[data], "eval.dataset_names": [f"{data}-test"]},
                tags={"model": model, "arch": NETWORKS[depth]["model.backbone_arch"], "data": f"{data}-test"},
                needs={
                    "model": Need(
                        untrained if model.endswith("init") else trained, f"exp3.{depth}.{version}_{data}-train"
                    )
                },
            )
            for index, (data, version, depth, model) in enumerate(JOBS)
        ],
        seeds=range(seeds),
        resources=ONE_EVALUATION,
        tags={"system": "os2d", "init": "imageNetCaffe2"},
        trial_name=evaluation_names(seeds),
    )


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published evaluations with one seed or several."""
    return [instre_evaluation(seeds)]


if __name__ == "__main__":
    main(__file__)
