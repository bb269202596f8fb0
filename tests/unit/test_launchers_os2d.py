"""The six OS2D launchers against the queues of the published ones, ``tests/data/published_launchers_os2d.json``.

What differs on purpose is a list here, and told in ``experiments/README.md``.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from experiments import (
    launcher_exp1,
    launcher_exp2,
    launcher_exp3_instre,
    launcher_grozi_eval,
    launcher_imagenet_eval,
    launcher_instre_eval,
    paper_os2d,
)
from orchestration.describe import Experiment
from orchestration.errors import DescriptionError
from orchestration.missing_inputs import is_missing, missing_inputs
from orchestration.plan import Plan, plan
from orchestration.script import run_script
from orchestration.signature import flatten
from orchestration.trial_description import Trial
from os2d.config import default_config
from os2d.modeling.network_keys import TRANSFORM_LINEAR
from tests.unit.published_layouts import draw_repmet

ROOT = Path(__file__).parents[2]
PUBLISHED = json.loads((ROOT / "tests/data/published_launchers_os2d.json").read_text())
DEFAULTS = flatten(default_config())

LAUNCHERS: dict[str, Callable[..., list[Experiment]]] = {
    "exp1": launcher_exp1.describe,
    "exp2": launcher_exp2.describe,
    "exp3_instre": launcher_exp3_instre.describe,
    "grozi_eval": launcher_grozi_eval.describe,
    "instre_eval": launcher_instre_eval.describe,
    "imagenet_eval": launcher_imagenet_eval.describe,
}
TRAININGS = ("exp1", "exp2", "exp3_instre")

JOBS = [(launcher["id"], job["index"]) for launcher in PUBLISHED["launchers"] for job in launcher["jobs"]]

Job = dict[str, Any]


def job_of(launcher: str, index: int) -> Job:
    return next(one for one in PUBLISHED["launchers"] if one["id"] == launcher)["jobs"][index]


def published_config(job: Job) -> dict[str, Any]:
    """Every key of a published job: the defaults, the file of the trainings, what the command line says."""
    base = PUBLISHED["base_config"]
    config = {**base["defaults"], **base["config_training_yml"]}
    command = job["commands"][0] if "commands" in job else job["commands_template"]
    for entry in command["overrides"]:
        if entry["key"] != "--config-file":
            config[entry["key"]] = entry["value"]
    if "varying" in job:
        numbers = range(job["varying"]["n_from"], job["varying"]["n_to_inclusive"] + 1)
        (pattern,) = job["varying"]["value_pattern"]
        config[job["varying"]["key"]] = [pattern.format(n=n) for n in numbers]
    return {key: float(value) if value == "-inf" else value for key, value in config.items()}


# What differs from the published queues on purpose.


def expected_name(launcher: str, job: Job) -> str:
    """The ten names that the published ImageNet queue has twice end in the network here."""
    if launcher != "imagenet_eval":
        return job["name"]
    return f"{job['name']}_{'v2-init' if job['index'] < 10 else 'v1-init'}"


def deviations(launcher: str, job: Job) -> dict[str, Any]:
    """The keys whose value is another one."""
    different: dict[str, Any] = {}
    if launcher in TRAININGS:
        different["output.path"] = ""  # a trial has its own folder
    if job["depends_on"]["jobs"]:
        different["init.model"] = ""  # the network comes from the trial that is needed, not from a path
    if job["init_model"] == "models/does_not_exist":
        different["init.model"] = ""  # random weights are asked for, not what becomes of a missing file
    if launcher == "imagenet_eval" and job["index"] >= 10:
        different["init.skip_transform_linear"] = True  # as published, but no accident
    return different


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither data nor weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONESHOT_DATA", raising=False)


@cache
def planned(launcher: str) -> Plan:
    return plan(LAUNCHERS[launcher]())


@cache
def queue(launcher: str) -> list[Trial]:
    return planned(launcher).trials_of(launcher)


def config_of(trial: Trial) -> dict[str, Any]:
    return flatten(trial.config)


def needed(launcher: str, index: int) -> Trial:
    signature = queue(launcher)[index].needs["model"]
    return next(trial for trial in planned(launcher).trials if trial.signature == signature)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_names_and_order_are_the_published_ones(launcher: str) -> None:
    published = next(one for one in PUBLISHED["launchers"] if one["id"] == launcher)
    assert [trial.name for trial in queue(launcher)] == [expected_name(launcher, job) for job in published["jobs"]]
    assert {trial.experiment for trial in queue(launcher)} == {launcher}


def test_there_are_96_jobs() -> None:
    assert len(JOBS) == sum(len(queue(launcher)) for launcher in LAUNCHERS) == 96


@pytest.mark.parametrize(("launcher", "index"), JOBS)
def test_every_key_is_the_published_one(launcher: str, index: int) -> None:
    job, ours = job_of(launcher, index), config_of(queue(launcher)[index])
    expected = published_config(job)
    for key, value in job["effective_config"].items():  # the same said a second time, for some of the keys
        assert expected[key] == value or value == "varies, see varying"
    assert ours == {**DEFAULTS, **expected, **deviations(launcher, job)}


def test_every_episode_is_evaluated_once_by_each_network() -> None:
    for first in (0, 10):
        trials = queue("imagenet_eval")[first : first + 10]
        names = [name for trial in trials for name in config_of(trial)["eval.dataset_names"]]
        assert names == [f"imagenet-repmet-test-episode-{k}" for k in range(500)]


@pytest.mark.parametrize(("launcher", "index"), JOBS)
def test_a_job_reads_the_weights_and_needs_the_training_of_the_published_one(launcher: str, index: int) -> None:
    job, trial = job_of(launcher, index), queue(launcher)[index]
    config = config_of(trial)
    files = {config["init.model"], config["init.transform"]} - {""}
    assert files == set(job["depends_on"]["pretrained_files"]) - {"models/does_not_exist"}
    if not job["depends_on"]["jobs"]:
        assert not trial.needs
        return
    ((producer, number),) = (name.split("#") for name in job["depends_on"]["jobs"])
    training = queue(producer)[int(number)]
    provider = needed(launcher, index)
    assert config_of(provider) == config_of(training)
    if job["depends_on"]["checkpoint"] == "checkpoint_iter_0.pth":
        assert provider.task == "os2d.tasks:initialise"
    else:
        assert provider.signature == training.signature


def test_no_training_is_started_for_what_it_starts_from() -> None:
    tasks = {trial.task for trial in planned("imagenet_eval").trials}
    assert tasks == {"os2d.tasks:initialise", "os2d.tasks:evaluate"}


def test_equal_trainings_run_once_and_no_others() -> None:
    jobs_of: dict[str, list[str]] = {}
    for launcher, index in JOBS:
        jobs_of.setdefault(queue(launcher)[index].signature, []).append(f"{launcher}#{index}")
    shared = [jobs for jobs in jobs_of.values() if len(jobs) > 1]
    assert shared == PUBLISHED["duplicates"]["training_jobs_with_equal_effective_config_apart_from_output_path"]


@pytest.mark.parametrize(("launcher", "index"), JOBS)
def test_tags_tell_what_tables_choose_by(launcher: str, index: int) -> None:
    job, trial = job_of(launcher, index), queue(launcher)[index]
    config, tags = config_of(trial), trial.tags
    assert tags["system"] == "os2d"
    assert tags["arch"] == config["model.backbone_arch"]
    assert config["eval.dataset_names"] == [tags["data"]] or tags["data"] == "imagenet-repmet"
    if launcher == "exp1":
        return
    version = "V1" if expected_name(launcher, job).endswith("v1-init") else job["model_version"]
    start = job["depends_on"]["checkpoint"] == "checkpoint_iter_0.pth" or "init.pth" in job["init_model"]
    assert tags["model"] == f"{version}-{'init' if start else 'train'}"


def test_the_names_of_the_weights_are_the_published_nicknames() -> None:
    for launcher in TRAININGS:
        for index, trial in enumerate(queue(launcher)):
            assert job_of(launcher, index)["log_folder"].endswith(f"_{trial.tags['arch']}_init_{trial.tags['init']}")


def test_the_recipe_is_the_one_of_the_published_file() -> None:
    config = default_config()
    config.merge_from_file(str(ROOT / "experiments/config_training.yml"))
    of_file = flatten(config)
    given_by_launchers = {"random_seed", "model.backbone_arch", *paper_os2d.V1}
    different = {key for key, value in {**DEFAULTS, **paper_os2d.TRAINING}.items() if of_file[key] != value}
    assert different <= given_by_launchers
    assert {*paper_os2d.TRAINING, *given_by_launchers, "output.path"} >= set(
        PUBLISHED["base_config"]["config_training_yml"]
    )


def test_only_the_last_layer_of_the_transformation_is_left_out_for_v1_on_imagenet() -> None:
    assert [key.rpartition(".")[2] for key in TRANSFORM_LINEAR] == ["weight", "bias"]
    skipping = [f"{name}#{i}" for name, i in JOBS if config_of(queue(name)[i])["init.skip_transform_linear"]]
    assert skipping == [f"imagenet_eval#{i}" for i in range(10, 20)]


def test_random_weights_are_asked_for_and_a_missing_file_stands_for_none() -> None:
    from_scratch, from_file = queue("exp2")[0], queue("exp2")[1]
    assert config_of(from_scratch)["init.model"] == ""
    assert "init.model" not in from_scratch.fingerprints
    assert "no such weights file" in from_file.fingerprints["init.model"]
    assert is_missing(from_file.fingerprints["init.model"])


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_more_seeds_are_more_trials_of_the_same(launcher: str) -> None:
    three = plan(LAUNCHERS[launcher](seeds=3))
    trials = three.trials_of(launcher)
    assert len({trial.name for trial in trials}) == len(trials) == 3 * len(queue(launcher))
    assert {trial.signature for trial in queue(launcher)} <= {trial.signature for trial in trials}
    seed_of = {trial.signature: trial.seed for trial in three.trials}
    assert all(seed_of[need] == trial.seed for trial in trials for need in trial.needs.values())


def test_a_plan_names_what_the_machine_lacks() -> None:
    lacking = "\n".join(one.text for one in missing_inputs(planned("grozi_eval").trials))
    for wanted in ("grozi-train", "paste-f", "models/gl18-tl-resnet101-gem-w-a4d43db-converted.pth"):
        assert wanted in lacking


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., list[str]]]:
    def call(launcher: str, *flags: str) -> list[str]:
        run_script(ROOT / "experiments" / f"launcher_{launcher}.py", ["--list", *flags])
        return [line.split()[1] for line in capsys.readouterr().out.splitlines()]

    yield call


def test_jobs_are_chosen_by_name_and_by_position(listed: Callable[..., list[str]]) -> None:
    assert listed("exp1", "--job-names", "exp1.0.lossCL_seed0") == ["exp1/exp1.0.lossCL_seed0"]
    assert listed("grozi_eval", "--job-indices", "19", "4") == [
        "grozi_eval/eval_grozi.0.grozi-val-old-cl",
        "grozi_eval/eval_grozi.3.paste-f",
    ]
    assert listed("exp2", "--seeds", "2", "--job-indices", "1") == ["exp2/exp2.0.v1_seed1"]
    with pytest.raises(DescriptionError, match=r"eval_imagenet\.3"):
        listed("imagenet_eval", "--job-names", "eval_imagenet.3")


def test_scripts_of_a_job_are_written_where_its_inputs_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--no-launch", "--job-names", "eval_imagenet.0_v2-init"]
    launcher = ROOT / "experiments/launcher_imagenet_eval.py"
    with pytest.raises(DescriptionError, match="oneshot models fetch os2d_v2-init"):
        run_script(launcher, flags)
    assert not (tmp_path / "runs").exists()
    draw_repmet(tmp_path / "data")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/os2d_v2-init.pth").write_bytes(b"only its hash is read here")
    run_script(launcher, flags)
    script = tmp_path / "runs/.launch/imagenet_eval/eval_imagenet.0_v2-init/launch.sh"
    assert script.is_file()
    assert "launch them with: bash" in capsys.readouterr().out


def test_a_launcher_is_a_program(tmp_path: Path) -> None:
    program = [sys.executable, str(ROOT / "experiments/launcher_exp3_instre.py"), "--list"]
    result = subprocess.run(program, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert len(result.stdout.splitlines()) == 8
