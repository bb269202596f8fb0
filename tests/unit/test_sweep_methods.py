"""What a sweep is made of, and what is refused with which message."""

import sys

import pytest

from orchestration.describe import (
    ASHA,
    BOHB,
    PBT,
    TPE,
    Experiment,
    HyperBand,
    MedianStopping,
    Random,
    Sweep,
    Variant,
    choice,
    grid,
    loguniform,
    uniform,
)
from orchestration.errors import DescriptionError

TASK = "tests.integration.counting_task:task"
RATES = {"optim.lr": loguniform(1e-3, 1)}


def sweep(**fields):
    return Sweep(**{"name": "s", "task": TASK, "metric": "value", **fields})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ASHA(10, grace=10), r"ASHA: grace: expected a step below max_step \(10\), got 10"),
        (lambda: ASHA(10.5), "ASHA: max_step: expected a whole number from 1 on, got 10.5"),
        (lambda: ASHA(10, reduction_factor=1), "ASHA: reduction_factor: expected a number above 1"),
        (
            lambda: HyperBand(9, reduction_factor=3, brackets=3),
            r"HyperBand: brackets: 3 do not fit: .* 2 rungs \(1, 3\)",
        ),
        (lambda: MedianStopping(min_trials=0), "MedianStopping: min_trials: expected a whole number from 1 on"),
        (lambda: PBT(population=1, interval=5), "PBT: population: expected a whole number from 2 on"),
        (lambda: PBT(4, 5, quantile=0.6), r"PBT: quantile: expected a number from 0 to 0\.5, got 0\.6"),
        (lambda: PBT(4, 5, factors=(1.2,)), "PBT: factors: expected two positive numbers"),
        (lambda: Random(0), "Random: n: expected a whole number from 1 on"),
        (lambda: TPE(n=True), "TPE: n: expected a whole number from 1 on"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, message):
    with pytest.raises(DescriptionError, match=message):
        wrong()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": ""}, "sweep 's': metric: expected the name of a metric"),
        ({"mode": "maximum"}, "sweep 's': mode: expected max or min, got 'maximum'"),
        ({"scheduler": "asha"}, "scheduler: expected ASHA, HyperBand, MedianStopping, PBT or None, got 'asha'"),
        ({"searcher": 30}, "searcher: expected Random, TPE, BOHB or None, got 30"),
        ({"domains": RATES}, "domains need a searcher"),
        ({"searcher": TPE(4)}, r"TPE needs domains=\{key: uniform"),
        ({"scheduler": PBT(4, 5), "space": grid({"steps": [1]})}, "PBT needs domains="),
        ({"domains": RATES, "scheduler": PBT(4, 5), "searcher": TPE(4)}, "searcher: PBT draws the points"),
        ({"domains": RATES, "searcher": Random(4), "space": grid({"steps": [1]})}, "both space and domains"),
        ({"domains": RATES, "searcher": TPE(4), "seeds": 2}, "give one seed and one variant"),
        ({"domains": RATES, "scheduler": PBT(4, 5), "variants": [Variant("a"), Variant("b")]}, "one variant"),
        ({"domains": {"optim.lr": 0.1}, "searcher": TPE(4)}, r"optim\.lr: expected choice"),
        ({"name": "a/b"}, "Experiment: name 'a/b'"),
    ],
)
def test_a_sweep_that_cannot_work_is_refused(fields, message):
    with pytest.raises(DescriptionError, match=message):
        sweep(**fields)


@pytest.mark.parametrize(("absent", "method"), [("optuna", TPE), ("hpbandster", BOHB), ("ConfigSpace", BOHB)])
def test_a_searcher_without_its_library_says_what_to_install(monkeypatch, absent, method):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.delitem(sys.modules, absent, raising=False)
    with pytest.raises(DescriptionError, match=rf"needs .*{absent}.*pip install 'oneshot-lab\[search\]'"):
        method(n=4)


def test_rungs_are_a_geometric_sequence_below_the_last_step():
    assert ASHA(100, grace=25, reduction_factor=2).rungs == (25, 50)
    assert ASHA(81, grace=1, reduction_factor=3).rungs == (1, 3, 9, 27)
    assert HyperBand(10, reduction_factor=3, brackets=3).rungs == (1, 3, 9)


def test_the_sweep_of_an_experiment_keeps_what_it_describes():
    experiment = Experiment("e", TASK, {"steps": 5}, space=grid({"optim.lr": [0.1]}), tags={"a": "b"})
    fixed = Sweep.of(experiment, "s", metric="value")
    assert (fixed.name, fixed.space, fixed.config, fixed.tags) == ("s", experiment.space, {"steps": 5}, {"a": "b"})
    searched = Sweep.of(experiment, "s", metric="value", domains=RATES, searcher=Random(3))
    assert len(searched.space.points) == 3


def test_a_searcher_starts_with_points_that_more_points_keep():
    few, many = sweep(domains=RATES, searcher=TPE(4, startup=3)), sweep(domains=RATES, searcher=TPE(40, startup=8))
    assert many.space.points[:3] == few.space.points
    assert (few.size, many.size) == (4, 40)
    assert sweep(domains=RATES, searcher=Random(9)).space.points[:3] == few.space.points


def test_without_pruning_only_the_scheduler_goes():
    searched = sweep(domains=RATES, searcher=TPE(4), scheduler=ASHA(10)).without_pruning()
    assert (searched.scheduler, searched.searcher) == (None, TPE(4))
    with pytest.raises(DescriptionError, match="PBT changes its trials while they run"):
        sweep(domains={"note": choice(["a", "b"]), "optim.lr": uniform(0, 1)}, scheduler=PBT(4, 5)).without_pruning()
