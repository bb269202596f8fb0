"""The comparison of the three systems: what is planned, and what is told of costs."""

from pathlib import Path

import pytest
from torch import nn

from experiments.compare_shelf import describe
from orchestration.plan import plan
from os2d.console import ConsoleRun
from os2d.engine.training_cost import TrainingClock, keep_cost, told_costs


@pytest.mark.parametrize("quick", [False, True])
def test_every_method_is_evaluated_from_what_it_needs(quick: bool) -> None:
    planned = plan(describe(quick))
    by_signature = {trial.signature: trial for trial in planned.trials}
    needs = {
        trial.experiment: {name: by_signature[need].experiment for name, need in trial.needs.items()}
        for trial in planned.trials
    }
    assert needs == {
        "compare-os2d-training": {},
        "compare-os2d": {"model": "compare-os2d-training"},
        "compare-coae-training": {},
        "compare-coae": {"model": "compare-coae-training"},
        "compare-detector": {},
        "compare-retrieval-pictures": {},
        "compare-retrieval": {"data": "compare-retrieval-pictures"},
        "compare-detector-retrieval": {"detector": "compare-detector", "retrieval": "compare-retrieval"},
    }
    methods = ["OS2D", "CoAE", "CoAE, present classes", "detector + retrieval"]
    assert [row.title for row in planned.tables[0].rows or ()] == methods


def test_the_quick_comparison_is_another_experiment() -> None:
    whole, quick = ({trial.signature for trial in plan(describe(q)).trials} for q in (False, True))
    assert len(whole & quick) == 1  # the pictures for retrieval do not depend on it


def test_costs_of_all_needed_trainings_are_added(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("detector", "retrieval", "pictures")]
    for folder, seconds in zip(folders, (1000.0, 2000.0), strict=False):
        clock = TrainingClock()
        clock.go_on_from(seconds)
        with ConsoleRun(folder, seed=0) as run:
            assert keep_cost(run, clock, nn.Linear(3, 2))["parameters"] == 8
    inputs = {folder.name: folder for folder in folders}
    assert told_costs(inputs)["training_time"] == pytest.approx(3000, abs=100)
    assert told_costs({"pictures": folders[2]}) == {}


def test_the_clock_leaves_pauses_out() -> None:
    clock = TrainingClock()
    with clock.paused():
        clock.go_on_from(1e6)
    assert clock.seconds < 1e5
