"""The launchers of the baselines: what they need, how tables find their trials, what a bare machine is told.

That they are the published jobs is proved in tests/golden/test_baseline_jobs.py.
"""

from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from experiments.launcher_coae_instre_eval import coae_instre_eval
from experiments.launcher_detret_grozi_eval import detret_grozi_eval
from experiments.paper_baselines import with_seeds
from orchestration.describe import Experiment
from orchestration.missing_inputs import missing_inputs
from orchestration.plan import Plan, plan
from orchestration.trial_description import Trial

COAE = ("coae_grozi_train", "coae_instre_train", "coae_grozi_eval", "coae_instre_eval")
PARTS = ("detector_train", "detector_train_imagenet", "retrieval_grozi", "retrieval_instre", "retrieval_imagenet")
JOINT = ("detret_grozi_eval", "detret_instre_eval", "detret_imagenet_eval")

PREPARED = ("retrieval_grozi-pictures", "retrieval_instre-pictures", "retrieval_imagenet-pictures")
"""Preparations that no published launcher has."""

HOW_TO_GET_ALL = (
    "oneshot data fetch grozi;",
    "oneshot data fetch retail;",
    "oneshot data fetch instre;",
    "oneshot data fetch repmet-episodes; and register at image-net.org",
    "to get it: register at image-net.org",
    "oneshot models fetch resnet101-torchvision",
    "oneshot models fetch resnet50-caffe2, then oneshot models convert",
    "oneshot models fetch resnet50-caffe2",
    "oneshot models fetch resnet101-caffe2",
    "oneshot models fetch resnet50-msra",
    "oneshot models fetch resnet101-msra",
    "oneshot models fetch retrieval-whitening-resnet101",
    "train torchvision's ResNet-101 on ILSVRC2012 without the 214 test classes of RepMet",
)
"""What brings everything that the twelve launchers read."""


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """All launchers in one plan, where there is neither data nor weights."""
    described: list[Experiment] = []
    for name in (*COAE, *PARTS, *JOINT):
        described += import_module(f"experiments.launcher_{name}").describe()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        patch.delenv("ONESHOT_DATA", raising=False)
        return plan(described)


def needed(trial: Trial, everything: Plan) -> list[Trial]:
    """Return everything a trial waits for."""
    trials = {one.signature: one for one in everything.trials}
    found = [trials[signature] for signature in trial.needs.values()]
    return [*found, *(further for one in found for further in needed(one, everything))]


def test_a_bare_machine_is_told_how_to_get_everything(everything: Plan) -> None:
    told = [missing.how for missing in missing_inputs(everything.trials)]
    assert len(told) == len(HOW_TO_GET_ALL)
    for how in HOW_TO_GET_ALL:
        assert any(how in one for one in told), how


def test_every_job_is_one_trial_and_parts_are_shared(everything: Plan) -> None:
    requested = [entry for entry in everything.entries if entry.requested]
    jobs = [entry for entry in requested if not entry.experiment.endswith("-multiscale")]
    others = {entry.experiment: entry.name for entry in everything.entries if not entry.requested}
    assert len(jobs) == len({entry.signature for entry in jobs}) == 56
    assert len(requested) - len(jobs) == 19
    assert set(others) == {*PREPARED, "retrieval_grozi-init"}


def test_pictures_of_instre_s2_are_prepared_too(everything: Plan) -> None:
    second = next(trial for trial in everything.trials if trial.name.startswith("ret-instre-2"))
    (pictures,) = needed(second, everything)
    prepare = pictures.config["prepare"]
    assert (prepare["train"], prepare["val"], prepare["tests"]) == (
        "instre-s2-train",
        "instre-s2-val",
        ["instre-s2-val", "instre-s2-test"],
    )
    assert (prepare["train_scale"], prepare["random_crops"]) == (600.0, 10)


def test_what_a_training_reads_is_what_its_preparation_writes(everything: Plan) -> None:
    trainings = [trial for trial in everything.trials if trial.task.endswith(":retrieval_train")]
    assert len(trainings) == 10
    for training in trainings:
        (pictures,) = needed(training, everything)
        prepare, data = pictures.config["prepare"], training.config["data"]
        crops = prepare["random_crops"]
        ending = f"-retrieval-rndCropPerImage{crops}" if crops else "-retrieval"
        assert data["train"] == prepare["train"] + ending
        assert set(data["tests"]) <= {name + ending for name in prepare["tests"]}


def test_the_rows_called_init_train_no_retrieval_network(everything: Plan) -> None:
    rows = [trial for trial in everything.trials_of("detret_grozi_eval") if trial.tags["model"] == "init"]
    assert len(rows) == 5
    for row in rows:
        networks = [trial for trial in needed(row, everything) if trial.task.endswith(":retrieval_train")]
        assert [trial.config["train"]["epochs"] for trial in networks] == [0]
        assert not networks[0].config["network"]["whitening"]


def test_tags_tell_every_evaluation_from_the_others(everything: Plan) -> None:
    evaluations = [
        trial
        for name in ("coae_grozi_eval", "coae_instre_eval", "detret_grozi_eval", "detret_instre_eval")
        for trial in everything.trials_of(name)
    ]
    cells = {tuple(trial.tags[key] for key in ("system", "model", "arch", "data")) for trial in evaluations}
    assert len(cells) == len(evaluations) == 23
    assert {data for *_, data in cells} >= {"grozi-val-old-cl", "paste-f", "instre-s1-test", "instre-s2-test"}
    episodes = everything.trials_of("detret_imagenet_eval")
    assert {tuple(trial.tags.values()) for trial in episodes} == {("detret", "train", "ResNet101", "imagenet-repmet")}
    with_classes = [trial for trial in everything.trials_of("detector_train") if "data" in trial.tags]
    assert [trial.tags["data"] for trial in with_classes] == ["grozi-val-old-cl"] * 2


def test_several_seeds_train_anew_and_share_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = plan([with_seeds(detret_grozi_eval, 2)])
    count = Counter(trial.experiment for trial in found.trials)
    assert count == {
        "detector_train": 2,
        "retrieval_grozi": 2,
        "retrieval_grozi-pictures": 1,
        "retrieval_grozi-init": 1,
        "detret_grozi_eval": 20,
    }
    assert {trial.seed for trial in found.trials_of("detret_grozi_eval")} == {0, 1}
    assert with_seeds(coae_instre_eval, 1) is coae_instre_eval
