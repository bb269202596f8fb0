"""The appendix of the OS2D paper on ImageNet: 500 episodes of five classes with one example each, as RepMet has them.

Two networks see every episode: V2-init as it was published, and V1-init, what the V1 training on GroZi-3.2k from
Caffe2's ImageNet weights starts from. A trial evaluates 50 episodes, one after another.

V1-init is evaluated with the switches of V2, as published. ``init.skip_transform_linear`` leaves the last layer of V2's
TransformNet, which has 6 outputs where V1 has 4, at its start: the identity, which it is in V1-init too.

    oneshot run experiments/launcher_imagenet_eval.py --launcher slurm
    python ./experiments/launcher_imagenet_eval.py --slurm --job-indices 0 10
"""

from experiments.launcher_exp2 import initialisations
from experiments.paper_os2d import EVALUATION, ONE_EVALUATION, RESNET50, Settings, at_start, evaluation_names
from orchestration.describe import Experiment, Need, Variant
from orchestration.script import main

SETTINGS = {
    "model.use_inverse_geom_model": True,
    "model.use_simplified_affine_model": False,
    "eval.dataset_scales": [250],
    "eval.class_image_augmentation": "horflip",
}

EPISODES_PER_JOB = 50
JOBS_PER_NETWORK = 10


def episodes_evaluation(seeds: int = 1) -> Experiment:
    """Return the evaluations."""
    networks: list[tuple[str, str, Settings, dict[str, Need]]] = [
        ("v2-init", "V2-init", {"init.model": "models/os2d_v2-init.pth"}, {}),
        (
            "v1-init",
            "V1-init",
            {"init.skip_transform_linear": True},
            {"model": Need(at_start(initialisations(seeds)), "exp2.2.v1")},
        ),
    ]
    return Experiment(
        name="imagenet_eval",
        task="os2d.tasks:evaluate",
        config=EVALUATION | RESNET50 | SETTINGS,
        variants=[
            Variant(
                f"eval_imagenet.{job}_{network}",
                {**weights, "eval.dataset_names": _episodes(job)},
                tags={"model": model},
                needs=needs,
            )
            for network, model, weights, needs in networks
            for job in range(JOBS_PER_NETWORK)
        ],
        seeds=range(seeds),
        resources=ONE_EVALUATION,
        tags={"system": "os2d", "arch": "ResNet50", "data": "imagenet-repmet"},
        trial_name=evaluation_names(seeds),
    )


def _episodes(job: int) -> list[str]:
    first = job * EPISODES_PER_JOB
    return [f"imagenet-repmet-test-episode-{number}" for number in range(first, first + EPISODES_PER_JOB)]


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published evaluations with one seed or several."""
    return [episodes_evaluation(seeds)]


if __name__ == "__main__":
    main(__file__)
