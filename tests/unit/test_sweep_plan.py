"""Sweeps become trials: which ones, with which identity, and what the record of earlier decisions adds."""

from pathlib import Path

import pytest
from rich.console import Console

from orchestration.describe import (
    ASHA,
    PBT,
    TPE,
    Column,
    Experiment,
    Need,
    Random,
    Sweep,
    Table,
    choice,
    grid,
    loguniform,
    uniform,
)
from orchestration.errors import DescriptionError, LaunchError, OverrideError
from orchestration.experiment_file import ExperimentFile
from orchestration.launch.driver import launch, unfinished
from orchestration.launch.local import LocalLauncher
from orchestration.launch.sweeps.in_turn import require_follower, without_pruning
from orchestration.plan import plan
from orchestration.runs import Runs, identity_of
from orchestration.sweep.record import Suggestion, SweepRecord, chosen_points
from orchestration.sweep.table import sweep_tables
from orchestration.sweep_settings import settings_of, sweeps_of
from orchestration.tables.sources import FolderSource
from orchestration.trial_description import Trial

ROOT = Path(__file__).resolve().parents[2]
TASK = "tests.integration.counting_task:task"
RATES = {"optim.lr": loguniform(1e-3, 1)}
CONFIG = {"steps": 6, "factor": 1.0}


def asha(name="s", **fields):
    space = grid({"optim.lr": [0.1, 0.2, 0.3]})
    return Sweep(**{"name": name, "task": TASK, "config": CONFIG, "space": space, "metric": "value", **fields})


def tpe(n=10, **fields):
    return asha(space=None, domains=RATES, searcher=TPE(n, startup=4), **fields)


def population(**fields):
    return asha(space=None, domains=RATES, scheduler=PBT(**{"population": 4, "interval": 2, **fields}))


def signatures(*descriptions, **options):
    return [trial.signature for trial in plan(descriptions, **options).trials]


def test_the_trials_of_a_fixed_space_are_those_of_an_experiment():
    space = grid({"optim.lr": [0.1, 0.2, 0.3]})
    assert signatures(asha(scheduler=ASHA(6, grace=2))) == signatures(Experiment("e", TASK, CONFIG, space=space))


def test_what_an_experiment_wants_as_well_is_not_left_to_the_sweep(tmp_path):
    experiment = Experiment("e", TASK, {**CONFIG, "optim.lr": 0.2})
    planned = plan([asha(scheduler=ASHA(6, grace=2)), experiment])
    (shared,) = planned.trials_of("e")
    assert len(planned.trials) == 3
    assert planned.followed == set(signatures(asha())) - {shared.signature}
    assert [trial.signature for trial in unfinished(planned, Runs(tmp_path))] == [shared.signature]


def test_random_points_without_a_scheduler_are_an_ordinary_experiment():
    planned = plan([asha(space=None, domains=RATES, searcher=Random(5))])
    assert len(planned.trials) == 5
    assert (planned.sweeps, planned.followed, planned.open_points) == ((), frozenset(), {})


def test_a_search_shows_the_points_it_starts_with_and_counts_the_others():
    planned = plan([tpe()])
    assert len(planned.trials) == 4
    assert planned.open_points == {"s": 6}
    chosen = {"s": [{"optim.lr": 0.5}, {"optim.lr": 0.6}]}
    assert signatures(tpe(), chosen=chosen)[:4] == signatures(tpe())
    assert plan([tpe()], (), chosen).open_points == {"s": 4}


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        ({"optim.lrr": uniform(0, 1)}, r"optim\.lrr: .* did you mean optim\.lr"),
        ({"steps": uniform(0, 1)}, "steps: expected int"),
        ({"note": choice([1, 2])}, "note: expected str"),
    ],
)
def test_a_key_that_cannot_be_searched_or_perturbed_is_refused_at_plan_time(domains, message):
    for settings in ({"searcher": TPE(4)}, {"scheduler": PBT(4, 2)}):
        with pytest.raises(OverrideError, match=message):
            plan([asha(space=None, domains=domains, **settings)])


def test_a_member_is_its_index_and_the_settings_of_its_population():
    members = signatures(population())
    assert len(set(members)) == 4
    assert signatures(population()) == members
    point = plan([population()]).trials[0].point
    (alone,) = plan([Experiment("e", TASK, {**CONFIG, **point})]).trials
    assert alone.signature not in members
    for other in (population(interval=3), population(quantile=0.5), population(seed=1)):
        assert not set(signatures(other)) & set(members)


def test_members_at_the_same_point_are_different_trials():
    two = asha(space=None, domains={"note": choice(["a"])}, scheduler=PBT(2, 2))
    assert [trial.name for trial in plan([two]).trials] == [
        "member0-default,note=a-seed0",
        "member1-default,note=a-seed0",
    ]


def test_a_member_survives_its_own_file_format_and_shows_its_identity(tmp_path):
    member = plan([population()]).trials[2]
    assert identity_of(member)["population"]["member"] == 2
    assert Runs(tmp_path).create(member).trial == member
    old = {key: value for key, value in plan([asha()]).trials[0].as_dict().items() if key != "population"}
    assert Trial.from_dict(old) == plan([asha()]).trials[0]


@pytest.mark.parametrize("need", [Need("s"), Need(asha(scheduler=ASHA(6)))])
def test_what_a_sweep_may_stop_cannot_be_needed(need):
    with pytest.raises(DescriptionError, match=r"need 'model': 's' is a sweep, which may stop any of its trials"):
        plan([asha(scheduler=ASHA(6)), Experiment("reading", TASK, needs={"model": need})])


def test_a_launcher_that_cannot_follow_a_sweep_says_what_to_do(tmp_path):
    with pytest.raises(
        DescriptionError, match=r"ASHA .* use --launcher ray; `oneshot run --no-pruning` runs all 3 trials"
    ):
        require_follower(plan([asha(scheduler=ASHA(6))]), LocalLauncher(cpus=1))
    for one in (tpe(), population()):
        with pytest.raises(DescriptionError, match=r"which only Ray can: use --launcher ray$"):
            launch(plan([one]), Runs(tmp_path / "runs"), LocalLauncher(cpus=1), Console(quiet=True))
    assert not (tmp_path / "runs").exists()


def test_without_pruning_a_sweep_runs_anywhere_and_its_best_trials_come_first(tmp_path):
    planned = without_pruning(plan([asha(scheduler=ASHA(6, grace=2))]))
    runs = Runs(tmp_path)
    summary = launch(planned, runs, LocalLauncher(cpus=2), Console(quiet=True))
    assert summary.exit_code == 0
    (table,) = sweep_tables(planned, FolderSource(tmp_path))
    assert table.rows == ("default, lr=0.3", "default, lr=0.2", "default, lr=0.1")
    assert table.caption == "3 points: 3 done"


def test_a_record_gives_back_what_was_decided_and_has_one_holder(tmp_path):
    record = SweepRecord(tpe(), Runs(tmp_path))
    with record.held():
        record.note_suggested(Suggestion(4, {"optim.lr": 0.5}), "a" * 64)
        record.note_pruned("b" * 64, 3, "why")
        with pytest.raises(LaunchError, match="sweep 's': another process runs it already"), record.held():
            pass
    again = SweepRecord(tpe(n=50), Runs(tmp_path))
    assert again.suggestions() == [Suggestion(4, {"optim.lr": 0.5})]
    assert again.pruned() == {"b" * 64}
    assert chosen_points([tpe()], tmp_path) == {"s": ({"optim.lr": 0.5},)}
    assert chosen_points([tpe(n=4)], tmp_path) == {"s": ()}


@pytest.mark.parametrize("changed", [{"mode": "min"}, {"metric": "loss"}, {"config": {**CONFIG, "steps": 7}}])
def test_a_search_with_other_settings_begins_anew(tmp_path, changed):
    assert SweepRecord(tpe(), Runs(tmp_path)).folder != SweepRecord(tpe(**changed), Runs(tmp_path)).folder
    assert settings_of(tpe()) == settings_of(tpe(n=99))


def test_a_torn_last_line_of_a_record_is_skipped(tmp_path):
    record = SweepRecord(tpe(), Runs(tmp_path))
    with record.held():
        record.note_pruned("a" * 64, 3, "why")
    with (record.folder / "events.jsonl").open("a") as file:
        file.write('{"kind": "suggested", "ind')
    assert (record.suggestions(), record.pruned()) == ([], {"a" * 64})


def test_sweeps_are_found_in_tables_too():
    one = asha()
    assert sweeps_of([Table("t", "", [one], [Column("v", "value")]), one]) == [one]


def test_the_example_is_twelve_trials_of_one_sweep():
    example = ExperimentFile(ROOT / "experiments" / "sweep_example.py").descriptions()
    planned = plan(example)
    assert len(planned.trials) == len(planned.followed) == 12
    assert planned.sweeps[0].scheduler.rungs == (25, 50)
