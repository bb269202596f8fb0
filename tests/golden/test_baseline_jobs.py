"""The launchers of the baselines describe the published jobs: same names, same order, same effective configuration.

Where they differ on purpose, the difference is listed here and in experiments/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

import pytest
from baseline_commands import CHECKOUT, config_of, value_of
from golden_cases import Golden
from yacs.config import CfgNode

from baselines.detector_retrieval.joint.config_check import detector_config
from orchestration.describe import Experiment
from orchestration.plan import Plan, plan
from orchestration.signature import flatten, is_neutral
from orchestration.task import load_task
from orchestration.trial_description import Trial

JOBS = "baselines/baseline_jobs.json"

LAUNCHERS = {
    "coae_grozi_train": "CoAE/experiments/launcher_coae_grozi_train.py",
    "coae_instre_train": "CoAE/experiments/launcher_coae_instre_train.py",
    "coae_grozi_eval": "CoAE/experiments/launcher_coae_grozi_eval.py",
    "coae_instre_eval": "CoAE/experiments/launcher_coae_instre_eval.py",
    "detector_train": "detector_retrieval/detector/experiments/launcher_train_detector.py",
    "detector_train_imagenet": "detector_retrieval/detector/experiments/launcher_train_detector_imagenet.py",
    "retrieval_grozi": "detector_retrieval/retrieval/experiments/launcher_grozi.py",
    "retrieval_instre": "detector_retrieval/retrieval/experiments/launcher_instre.py",
    "retrieval_imagenet": "detector_retrieval/retrieval/experiments/launcher_imagenet.py",
    "detret_grozi_eval": "detector_retrieval/experiments/launcher_grozi_eval.py",
    "detret_instre_eval": "detector_retrieval/experiments/launcher_instre_eval.py",
    "detret_imagenet_eval": "detector_retrieval/experiments/launcher_imagenet_eval.py",
}
"""Our launcher -> the published one."""

REPEATED_NAMES = {
    "detret_grozi_eval": ("train", "init") * 5,
    "detret_instre_eval": ("resnet50", "resnet101") * 2,
    "detret_imagenet_eval": [f"{first}-{first + 49}" for first in range(0, 500, 50)],
}
"""Published names that several jobs share -> what ours end in to tell them apart, in the order of the jobs."""

MULTISCALE_TESTS = {
    "detector_train": ("test-grozi", "test-instre-s1", "test-instre-s2"),
    "detector_train_imagenet": ("test-imagenet-repmet",),
}
"""Jobs of several commands: the first one is the job of that name, the others are trials of their own."""

FROM_NEEDS = {
    "baselines.coae.tasks:evaluate": ("init.model",),
    "baselines.detector_retrieval.tasks:detector_evaluate": ("MODEL.WEIGHT", "SOLVER.MAX_ITER"),
    "baselines.detector_retrieval.tasks:retrieval_train": ("data.path",),
    "baselines.detector_retrieval.tasks:joint_evaluate": ("joint.detector_weights", "joint.retrieval_network"),
}
"""Task -> keys through which published commands name what another one has written; here the trial is needed."""

DETECTOR_OF_JOINT = ("joint.detector_config_file", "joint.detector_options")
"""How the detector is told does not matter, what it is is compared by itself."""


@pytest.fixture(params=LAUNCHERS, scope="module")
def launcher(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def planned(launcher: str, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """What a launcher describes, planned where there is neither data nor weights."""
    described = vars(import_module(f"experiments.launcher_{launcher}")).values()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp(launcher))
        patch.delenv("ONESHOT_DATA", raising=False)
        return plan([one for one in described if isinstance(one, Experiment)], [launcher, *_tests(launcher)])


def _tests(launcher: str) -> list[str]:
    """Return the experiment of the tests that jobs end with, if there are any."""
    return [f"{launcher}-multiscale"] if launcher in MULTISCALE_TESTS else []


def _tests_after(launcher: str, job: str) -> Sequence[str]:
    return () if "withCl" in job else MULTISCALE_TESTS.get(launcher, ())


@pytest.mark.reads(JOBS)
def test_names_and_order_are_the_published_ones(launcher: str, planned: Plan, golden: Golden) -> None:
    jobs = golden.json(JOBS)[LAUNCHERS[launcher]]
    endings = REPEATED_NAMES.get(launcher, [""] * len(jobs))
    names = [".".join(filter(None, (job["name"], end))) for job, end in zip(jobs, endings, strict=True)]
    more = [f"{name}.{test}" for name in names for test in _tests_after(launcher, name)]
    assert [entry.name for entry in planned.entries if entry.requested] == names + more


@pytest.mark.reads(JOBS)
def test_configurations_are_those_of_the_published_commands(launcher: str, planned: Plan, golden: Golden) -> None:
    jobs = golden.json(JOBS)[LAUNCHERS[launcher]]
    commands = [_first(job) for job in jobs]
    if launcher in MULTISCALE_TESTS:
        commands += [command for job in jobs for command in job["commands"][1:]]
    trials = [trial for name in (launcher, *_tests(launcher)) for trial in planned.trials_of(name)]
    for command, trial in zip(commands, trials, strict=True):
        published, ours = config_of(command), _config(trial)
        assert _compared(trial, published) == _compared(trial, ours), trial.name
        if trial.task.endswith(":joint_evaluate"):
            assert _detector(published) == _detector(ours), trial.name


@pytest.mark.reads(JOBS)
def test_what_published_commands_read_is_what_the_trials_need(launcher: str, planned: Plan, golden: Golden) -> None:
    trial_of = {trial.signature: trial for trial in planned.trials}
    for job, trial in zip(golden.json(JOBS)[LAUNCHERS[launcher]], planned.trials_of(launcher), strict=True):
        command, needs = _first(job), {name: trial_of[signature] for name, signature in trial.needs.items()}
        if "model" in needs:
            assert _folder(value_of(command, "--weights")) == needs["model"].variant
        if "detector" in needs:
            assert _folder(value_of(command, "--maskrcnn_weight_file")) == needs["detector"].variant
        if "retrieval" in needs:
            path = value_of(command, "--retrieval_network_path")
            untrained = needs["retrieval"].config["train"]["epochs"] == 0
            assert str(path).endswith("model_epoch0.pth.tar" if untrained else "model_best.pth.tar")
            assert _folder(path) == _published_folder(needs["retrieval"])
        if "data" in needs:
            assert needs["data"].config["prepare"]["train"] + "-retrieval" in str(
                value_of(command, "--training-dataset")
            )


@pytest.mark.reads(JOBS)
def test_a_job_of_many_episodes_is_one_trial(golden: Golden) -> None:
    from experiments.launcher_detret_imagenet_eval import detret_imagenet_eval

    jobs = golden.json(JOBS)[LAUNCHERS["detret_imagenet_eval"]]
    for job, variant in zip(jobs, detret_imagenet_eval.variants, strict=True):
        commands, episodes = job["commands"], variant.config["eval.dataset_names"]
        assert len(set(episodes)) == len(episodes) == commands["count"]
        for command, episode in ((commands["first"], episodes[0]), (commands["last"], episodes[-1])):
            assert list(config_of(command).eval.dataset_names) == [episode]


def _first(job: Mapping[str, Any]) -> Mapping[str, Any]:
    commands = job["commands"]
    command: Mapping[str, Any] = commands["first"] if "first" in commands else commands[0]
    return command


def _config(trial: Trial) -> CfgNode:
    config = load_task(trial.task).default_config()
    config.merge_from_other_cfg(CfgNode(trial.config))
    return CfgNode(config)


def _compared(trial: Trial, config: CfgNode) -> dict[str, Any]:
    """Return the values that can change a result, without the deviations listed above."""
    task = load_task(trial.task)
    neutral = is_neutral(tuple(task.neutral_keys), "")
    left_out = {*FROM_NEEDS.get(trial.task, ()), *DETECTOR_OF_JOINT}
    values = {key: _plain(value) for key, value in flatten(config).items() if not neutral(key) and key not in left_out}
    if trial.experiment == "detret_imagenet_eval":
        values["eval.dataset_names"] = values["eval.dataset_names"][:1]
    if trial.task.endswith(":retrieval_train"):
        values["data.tests"] = list(dict.fromkeys(values["data.tests"]))  # grozi lists its only one twice
    return values


def _plain(value: Any) -> Any:
    """Return lists for tuples, and paths below the checkout relative to it."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.removeprefix(f"{CHECKOUT}/").removeprefix("../../../") if isinstance(value, str) else value


def _detector(config: CfgNode) -> dict[str, Any]:
    """Return the detector of a joint evaluation; its weights are those of the need."""
    return {key: _plain(value) for key, value in flatten(detector_config(config)).items() if key != "MODEL.WEIGHT"}


def _folder(path: str | None) -> str:
    assert path is not None
    return PurePosixPath(path).parent.name


def _published_folder(retrieval: Trial) -> str:
    """Return the name that the published program gives to the folder of a training, as our names end."""
    data, network = retrieval.config["data"], retrieval.config["network"]
    parts: Sequence[str] = [data["train"], network["arch"], network["pooling"], *["whiten"] * network["whitening"]]
    return "_".join([*parts, "contrastive_m0.85_adam_lr1.0e-06_wd1.0e-04_nnum5_qsize2000_psize20000_bsize5_imsize240"])
