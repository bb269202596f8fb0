"""Sweeps of 12 trials on a real Ray cluster whose driver is killed in the middle: nothing that ended is repeated."""

import time
from pathlib import Path

import pytest

from orchestration.describe import Column, Sweep, Table
from orchestration.errors import DescriptionError
from orchestration.experiment_file import ExperimentFile
from orchestration.journal_records import State
from orchestration.plan import plan
from orchestration.sweep.record import SweepRecord, chosen_points
from orchestration.tables.build import build_table
from orchestration.tables.sources import FolderSource
from orchestration.trial_state import state_of
from tests.integration.oneshot_project import Project

pytest.importorskip("ray")
pytestmark = pytest.mark.cluster

RAY = ("file.py", "--launcher", "ray", "--cpus", "2")
STEPS = 24
HEAD = f"""
from orchestration.describe import *
from orchestration.describe import Experiment, Sweep

TASK = "tests.integration.counting_task:task"
CONFIG = {{"steps": {STEPS}, "factor": 1.0, "save_every": 2, "runtime.seconds_per_step": 0.1}}
"""
"""The task's value is 300 times ``optim.lr`` after 24 steps, and in proportion before."""

RATES = [0.2, 0.1, 0.01, 0.15, 0.02, 0.19, 0.03, 0.05, 0.04, 0.12, 0.06, 0.17]
ASHA = f"""
space = grid({{"optim.lr": {RATES}}})
sweep = Sweep("rates", TASK, CONFIG, space=space, metric="value", scheduler=ASHA({STEPS}, grace=3, reduction_factor=3))
"""
SLOW_TO_STOP = f"""
slow = {{**CONFIG, "runtime.seconds_to_stop": 5.0}}
space = grid({{"optim.lr": {RATES[:6]}}})
sweep = Sweep("rates", TASK, slow, space=space, metric="value", scheduler=ASHA({STEPS}, grace=3, reduction_factor=3))
"""
TPE = f"""
sweep = Sweep(
    "rates", TASK, CONFIG, domains={{"optim.lr": loguniform(0.001, 0.2)}}, metric="value",
    searcher=TPE(n=12, startup=4), scheduler=ASHA({STEPS}, grace=3, reduction_factor=3),
)
"""
PBT = """
sweep = Sweep(
    "rates", TASK, CONFIG, domains={"optim.lr": uniform(0.001, 0.2), "optim.nesterov": choice([True, False])},
    metric="value", scheduler=PBT(population=12, interval=6),
)
"""
TWO = f"""
first, second = grid({{"optim.lr": {RATES[:2]}}}), grid({{"optim.lr": {RATES[2:4]}}})
rule = ASHA({STEPS}, grace=3, reduction_factor=3)
sweep = Sweep("rates", TASK, CONFIG, space=first, metric="value", scheduler=rule)
other = Sweep("others", TASK, CONFIG, space=second, metric="value", scheduler=rule)
"""
TO_THE_END = 'whole = Experiment("whole", TASK, CONFIG, space=grid({"optim.lr": [0.01]}))'


class SweepProject(Project):
    """A project with one sweep in its file."""

    def __init__(self, folder: Path, description: str) -> None:
        super().__init__(folder)
        self.file.write_text(HEAD + description)

    @property
    def sweep(self) -> Sweep:
        return next(one for one in ExperimentFile(self.file).descriptions() if isinstance(one, Sweep))

    @property
    def record(self) -> SweepRecord:
        return SweepRecord(self.sweep, self.runs)

    def planned(self):
        descriptions = ExperimentFile(self.file).descriptions()
        return plan(descriptions, (), chosen_points(descriptions, self.runs.root))

    def states(self) -> dict[str, State]:
        return self.runs.states(self.planned().trials_of("rates"))

    def ended(self) -> dict[str, int]:
        """Return signature -> number of attempts of the trials that are done or pruned."""
        final = [signature for signature, state in self.states().items() if state in (State.DONE, State.PRUNED)]
        return {signature: len(self.runs.folder(signature).attempts()) for signature in final}

    def kill_driver_when(self, reached, seconds: float = 180) -> None:
        """Start the sweep, kill its driver with SIGKILL once something is reached, and wait for the last worker."""
        process, deadline = self.start(*RAY), time.monotonic() + seconds
        while not reached():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"not reached; printed: {process.communicate()[0]}")
            time.sleep(0.05)
        process.kill()
        process.communicate()
        self.wait_until_idle(60)


@pytest.fixture
def project(tmp_path, request):
    return SweepProject(tmp_path, request.param)


@pytest.mark.parametrize("project", [ASHA], indirect=True)
def test_asha_prunes_and_after_a_killed_driver_repeats_no_trial_that_ended(project):
    project.kill_driver_when(lambda: len(project.ended()) >= 4)
    before = project.ended()
    code, out = project.run(*RAY)
    assert code == 0, out
    states = project.states()
    assert len(states) == 12
    assert set(states.values()) == {State.DONE, State.PRUNED}
    assert {signature: number for signature, number in project.ended().items() if signature in before} == before
    best = next(trial for trial in project.planned().trials if trial.config["optim"]["lr"] == 0.2)
    assert states[best.signature] is State.DONE
    project.require_one_worker_at_a_time()

    everything = project.ended()
    code, out = project.run(*RAY)
    assert code == 0, out
    assert project.ended() == everything

    pruned = [signature for signature, state in states.items() if state is State.PRUNED]
    last = project.runs.folder(pruned[0]).last_attempt()
    assert last.outcome == "pruned"
    assert "rung" in last.ending.message
    table = build_table(
        Table("t", "", "rates", [Column("value", "value")]), project.planned(), FolderSource(project.runs.root)
    )
    assert sorted(cell.state for (cell,) in table.cells) == sorted(state.value for state in states.values())
    assert all(cell.mean is None for (cell,) in table.cells if cell.state == "pruned")


@pytest.mark.parametrize("project", [SLOW_TO_STOP], indirect=True)
def test_who_takes_long_to_save_when_pruned_only_delays_the_next_trial(project):
    code, out = project.run("file.py", "--launcher", "ray", "--cpus", "1")
    assert code == 0, out
    states = list(project.states().values())
    assert len(states) == 6
    assert set(states) == {State.DONE, State.PRUNED}
    assert states.count(State.PRUNED) >= 3
    project.require_one_worker_at_a_time()


@pytest.mark.parametrize("project", [ASHA], indirect=True)
def test_an_experiment_that_wants_a_pruned_trial_continues_it_to_its_end(project):
    code, out = project.run(*RAY)
    assert code == 0, out
    worst = next(trial for trial in project.planned().trials if trial.config["optim"]["lr"] == 0.01)
    folder = project.runs.folder(worst.signature)
    assert state_of(folder) is State.PRUNED
    reached = max(point.step for point in folder.metrics())
    assert reached < STEPS
    project.file.write_text(HEAD + TO_THE_END)
    code, out = project.run("file.py", "--launcher", "local")
    assert code == 0, out
    assert state_of(folder) is State.DONE
    resumed = [event.details["step"] for event in folder.events() if event.kind == "resumed"]
    assert resumed and resumed[-1] >= 2
    assert [point.step for point in folder.metrics() if point.name == "value"] == list(range(1, STEPS + 1))


@pytest.mark.parametrize("project", [TWO + TO_THE_END], indirect=True)
def test_trials_and_two_sweeps_start_three_clusters_one_after_another(project):
    code, out = project.run(*RAY)
    assert code == 0, out
    assert set(project.runs.states(project.planned().trials).values()) <= {State.DONE, State.PRUNED}


@pytest.mark.parametrize("project", [TPE], indirect=True)
def test_tpe_learns_on_from_what_ended_before_its_driver_was_killed(project):
    project.kill_driver_when(lambda: len(project.record.suggestions()) >= 3 and len(project.ended()) >= 5)
    before, suggested = project.ended(), project.record.suggestions()
    assert project.planned().open_points == {"rates": 8 - len(suggested)}
    code, out = project.run(*RAY)
    assert code == 0, out
    after = project.record.suggestions()
    assert after[: len(suggested)] == suggested
    assert [suggestion.index for suggestion in after] == list(range(4, 12))
    assert project.planned().open_points == {}
    assert len(project.planned().trials_of("rates")) == 12
    assert set(project.states().values()) == {State.DONE, State.PRUNED}
    assert {signature: number for signature, number in project.ended().items() if signature in before} == before
    project.require_one_worker_at_a_time()


@pytest.mark.parametrize("project", [PBT], indirect=True)
def test_a_population_copies_its_best_and_after_a_killed_driver_repeats_no_member_that_ended(project):
    project.kill_driver_when(lambda: len(project.ended()) >= 2)
    before = project.ended()
    code, out = project.run(*RAY)
    assert code == 0, out
    assert list(project.states().values()) == [State.DONE] * 12
    assert {signature: number for signature, number in project.ended().items() if signature in before} == before
    folders = [project.runs.folder(signature) for signature in project.states()]
    copies = [folder.perturbation() for folder in folders if folder.perturbation() is not None]
    assert copies
    for copied in copies:
        assert 0.001 <= copied.settings["optim.lr"] <= 0.2
        assert copied.donor in project.states()
    exploited = [event for folder in folders for event in folder.events() if event.kind == "exploited"]
    assert len(exploited) >= len(copies)
    assert any(point.name == "population/optim.lr" for folder in folders for point in folder.metrics())
    assert all(max(point.step for point in folder.metrics()) == STEPS for folder in folders)
    project.require_one_worker_at_a_time()


@pytest.mark.parametrize("project", [ASHA], indirect=True)
def test_two_drivers_of_one_sweep_are_one_too_many(project):
    with project.record.held():
        code, out = project.run(*RAY)
    assert code == 1
    assert "error: sweep 'rates': another process runs it already" in out


@pytest.mark.parametrize("project", [ASHA.replace('metric="value"', 'metric="loss"')], indirect=True)
def test_a_metric_that_nobody_logs_is_told_with_those_that_are(project):
    project.file.write_text(project.file.read_text().replace(str(RATES), "[0.1, 0.2]"))
    _, out = project.run(*RAY)
    assert "it did not log 'loss', the metric of sweep 'rates'; it logged value" in out


def test_a_sweep_in_a_file_is_a_description(tmp_path):
    project = SweepProject(tmp_path, ASHA.replace("optim.lr", "optim.rate"))
    with pytest.raises(DescriptionError, match=r"optim\.rate: .* has no such key"):
        project.planned()
