"""What a sweep decides about its trials, from their folders and its record; the workers here are plain functions."""

import pytest

pytest.importorskip("ray")

from orchestration.checkpoints import Checkpoints
from orchestration.describe import ASHA, PBT, TPE, HyperBand, MedianStopping, Sweep, grid, loguniform, uniform
from orchestration.durable import LineWriter
from orchestration.journal_records import State
from orchestration.launch.ray.sweep import rule_of
from orchestration.launch.sweeps.points import PointRun
from orchestration.launch.sweeps.population import PopulationRun
from orchestration.plan import plan
from orchestration.runs import Runs
from orchestration.sweep.record import SweepRecord, chosen_points
from orchestration.trial_state import state_of

TASK = "tests.integration.counting_task:task"
CONFIG = {"steps": 9, "factor": 1.0}
RATES = [0.9, 0.5, 0.65, 0.1, 0.3, 0.8]


class Desk:
    """A sweep, its folder, and the measurements of workers that are not there."""

    def __init__(self, folder, **fields):
        self.runs = Runs(folder)
        self.sweep = Sweep("s", TASK, CONFIG, metric="value", **fields)
        self.clock = 1

    def begun(self, kind=PointRun):
        """Return what a driver that has just been started holds."""
        planned = plan([self.sweep], (), chosen_points([self.sweep], self.runs.root))
        for trial in planned.trials:
            self.runs.create(trial)
        sweep = planned.sweeps[0]
        record = SweepRecord(sweep, self.runs)
        record.folder.mkdir(parents=True, exist_ok=True)
        run = kind(sweep, planned, self.runs, record, ())
        run.begin(rule_of(sweep))
        return run

    def measure(self, run, trial, step, value):
        """Log a value as a worker would, and tell the sweep."""
        folder = self.runs.folder(trial.signature)
        lines = LineWriter(folder.metrics_file)
        self.clock += 1
        lines.append({"step": step, "time_ms": self.clock, "attempt": 1, "metrics": {"value": value}})
        lines.close()
        return run.learn(trial.signature, step, value)

    def work(self, run, trial, steps=range(1, 10)):
        """Run a trial in no time: its value is its learning rate times the step. Return the last step."""
        for step in steps:
            if self.measure(run, trial, step, trial.config["optim"]["lr"] * step):
                run.note_end(trial.signature, failed=False)
                return step
        self.runs.folder(trial.signature).finish({}, 1)
        run.note_end(trial.signature, failed=False)
        return step

    def finish(self, run):
        """Run trials one after another until the sweep has none; return learning rate -> last step."""
        reached = {}
        while (trial := run.next_trial()) is not None:
            reached[trial.config["optim"]["lr"]] = self.work(run, trial)
        assert run.is_finished
        return reached


@pytest.fixture
def asha(tmp_path):
    return Desk(tmp_path, space=grid({"optim.lr": RATES}), scheduler=ASHA(9, grace=2, reduction_factor=2))


def test_asha_stops_at_rungs_what_is_not_among_the_best(asha):
    assert asha.finish(asha.begun()) == {0.9: 9, 0.5: 2, 0.65: 2, 0.1: 2, 0.3: 2, 0.8: 4}
    pruned = [t for t in plan([asha.sweep]).trials if state_of(asha.runs.folder(t.signature)) is State.PRUNED]
    assert [trial.config["optim"]["lr"] for trial in pruned] == [0.5, 0.65, 0.1, 0.3, 0.8]
    wish = asha.runs.folder(pruned[0].signature).prune_wish()
    assert wish.why == "sweep 's': not among the best 1/2 at rung 2 (ASHA)"


def test_a_second_driver_repeats_no_decision_and_knows_the_rungs(asha):
    first = asha.begun()
    for _ in range(2):
        asha.work(first, first.next_trial())
    cut_short = first.next_trial()
    asha.measure(first, cut_short, 1, 0.7)
    again = asha.begun()
    assert asha.finish(again) == {0.65: 2, 0.1: 2, 0.3: 2, 0.8: 4}
    assert asha.begun().is_finished


def test_a_decision_that_a_killed_driver_did_not_carry_out_is_carried_out(asha):
    run = asha.begun()
    asha.work(run, run.next_trial())
    trial = run.next_trial()
    SweepRecord(asha.sweep, asha.runs).note_pruned(trial.signature, 2, "why")
    again = asha.begun()
    assert state_of(asha.runs.folder(trial.signature)) is State.PRUNED
    assert trial.signature not in {one.signature for one in iter(again.next_trial, None)}


def test_what_was_logged_but_not_judged_is_judged_before_the_trial_is_started_again(asha):
    run = asha.begun()
    asha.work(run, run.next_trial())
    worse = run.next_trial()
    lines = LineWriter(asha.runs.folder(worse.signature).metrics_file)
    lines.append({"step": 2, "time_ms": 1000, "attempt": 1, "metrics": {"value": 0.1}})
    lines.close()
    again = asha.begun()
    assert state_of(asha.runs.folder(worse.signature)) is State.PRUNED
    assert again.next_trial().config["optim"]["lr"] == 0.65


def test_a_trial_that_diverged_is_worse_than_any_other(tmp_path):
    desk = Desk(tmp_path, space=grid({"optim.lr": [0.1, 0.2]}), scheduler=ASHA(9, grace=2, reduction_factor=2))
    run = desk.begun()
    desk.work(run, run.next_trial())
    diverged = run.next_trial()
    assert not desk.measure(run, diverged, 1, float("nan"))
    assert desk.measure(run, diverged, 2, float("nan"))


def test_smallest_values_win_where_the_mode_says_so(tmp_path):
    space, rule = grid({"optim.lr": [0.1, 0.2, 0.05]}), ASHA(9, grace=2, reduction_factor=2)
    desk = Desk(tmp_path, space=space, scheduler=rule, mode="min")
    assert desk.finish(desk.begun()) == {0.1: 9, 0.2: 2, 0.05: 9}


def test_median_stopping_compares_with_running_means(tmp_path):
    rule = MedianStopping(grace=3, min_trials=2)
    desk = Desk(tmp_path, space=grid({"optim.lr": [0.9, 0.8, 0.1, 0.85]}), scheduler=rule)
    assert desk.finish(desk.begun()) == {0.9: 9, 0.8: 9, 0.1: 3, 0.85: 9}


def test_hyperband_stops_trials_too(tmp_path):
    rule = HyperBand(9, grace=2, reduction_factor=2, brackets=2)
    desk = Desk(tmp_path, space=grid({"optim.lr": [0.9, *(0.01 * i for i in range(11, 0, -1))]}), scheduler=rule)
    reached = desk.finish(desk.begun())
    assert reached[0.9] == 9
    assert sum(step < 9 for step in reached.values()) >= 10


def test_every_driver_puts_a_trial_into_the_same_bracket(tmp_path):
    sweep = Sweep("s", TASK, CONFIG, metric="value", scheduler=HyperBand(9, grace=2, reduction_factor=2, brackets=2))
    names = [f"{7 * i:08x}" for i in range(20)]

    def decisions():
        rule = rule_of(sweep)
        return [rule.stops(name, step, 1 / (i + 1)) for i, name in enumerate(names) for step in (2, 4)]

    first = decisions()
    assert decisions() == first
    assert 20 > sum(first) > 10


def test_a_search_records_each_point_before_it_runs_and_goes_on_with_a_larger_n(tmp_path):
    domains = {"optim.lr": loguniform(0.01, 1)}
    desk = Desk(tmp_path, domains=domains, searcher=TPE(6, startup=3))
    assert len(desk.finish(desk.begun())) == 6
    chosen = SweepRecord(desk.sweep, desk.runs).suggestions()
    assert [suggestion.index for suggestion in chosen] == [3, 4, 5]
    desk.sweep = Sweep("s", TASK, CONFIG, metric="value", domains=domains, searcher=TPE(8, startup=3))
    assert len(desk.finish(desk.begun())) == 2
    assert SweepRecord(desk.sweep, desk.runs).suggestions()[:3] == chosen


def test_a_point_chosen_before_a_kill_is_run_and_not_chosen_again(tmp_path):
    desk = Desk(tmp_path, domains={"optim.lr": loguniform(0.01, 1)}, searcher=TPE(5, startup=3))
    run = desk.begun()
    for _ in range(3):
        desk.work(run, run.next_trial())
    chosen = run.next_trial()
    again = desk.begun()
    assert again.next_trial().signature == chosen.signature
    assert len(SweepRecord(desk.sweep, desk.runs).suggestions()) == 1


def test_a_search_without_scores_stops_and_says_why(tmp_path):
    desk = Desk(tmp_path, domains={"optim.lr": loguniform(0.01, 1)}, searcher=TPE(5, startup=1))
    run = desk.begun()
    trial = run.next_trial()
    desk.runs.folder(trial.signature).finish({}, 1)
    run.note_end(trial.signature, failed=False)
    assert run.is_finished
    assert run.reasons() == {
        trial.signature: "it did not log 'value', the metric of sweep 's'; it logged nothing",
    }


@pytest.fixture
def population(tmp_path):
    return Desk(tmp_path, domains={"optim.lr": uniform(0.1, 1)}, scheduler=PBT(population=4, interval=3))


def one_turn(desk, run, steps):
    """Let every member go on by some steps and save; return the members in the order of their turns."""
    members = [run.next_trial() for _ in range(4)]
    for place, member in enumerate(members):
        folder = desk.runs.folder(member.signature)
        begin = folder.perturbation().step if folder.perturbation() else 0
        for step in range(begin + 1, begin + steps + 1):
            desk.measure(run, member, step, float(place))
        Checkpoints(folder.checkpoints).save({"step": begin + steps, "of": place}, begin + steps, None)
    return members


def test_the_worst_member_goes_on_from_a_copy_of_the_best_with_other_settings(population):
    run = population.begun(PopulationRun)
    members = one_turn(population, run, 3)
    for member in members:
        run.note_end(member.signature, failed=False)
    worst, best = members[0], members[-1]
    again = [run.next_trial() for _ in range(4)]
    assert {member.signature for member in again} == {member.signature for member in members}
    folder = population.runs.folder(worst.signature)
    copied = folder.perturbation()
    assert (copied.generation, copied.step, copied.donor) == (1, 3, best.signature)
    assert 0.1 <= copied.settings["optim.lr"] <= 1
    assert folder.trial_to_run().config["optim"]["lr"] == copied.settings["optim.lr"]
    assert folder.trial == worst
    assert all(population.runs.folder(member.signature).perturbation() is None for member in members[1:])
    checkpoints = Checkpoints(folder.checkpoints)
    assert checkpoints.take_over(1, 3)
    assert checkpoints.at(checkpoints.newest_step(print)) == {"step": 3, "of": 3}
    assert not checkpoints.take_over(1, 3)


def test_a_member_goes_on_until_the_others_have_come_as_far(population):
    run = population.begun(PopulationRun)
    members = [run.next_trial() for _ in range(4)]
    assert not population.measure(run, members[0], 3, 0.0)
    assert not population.measure(run, members[0], 4, 9.0)
    for member in members[1:3]:
        assert not population.measure(run, member, 3, 1.0)
    assert not population.measure(run, members[3], 3, 2.0)
    assert population.measure(run, members[0], 5, 9.0)  # what it had at step 3 was the worst
    assert not population.measure(run, members[3], 4, 2.0)


def test_a_member_makes_room_after_an_interval_for_those_who_wait(population):
    run = population.begun(PopulationRun)
    first, _ = run.next_trial(), run.next_trial()
    assert [population.measure(run, first, step, 1.0) for step in (1, 2, 3)] == [False, False, True]
    run.note_end(first.signature, failed=False)
    assert run.next_trial().signature != first.signature


def test_a_member_that_is_done_or_given_up_takes_no_more_turns(population):
    run = population.begun(PopulationRun)
    members = one_turn(population, run, 2)
    population.runs.folder(members[0].signature).finish({}, 1)
    for member in members:
        run.note_end(member.signature, failed=member is members[1])
    left = {trial.signature for trial in iter(run.next_trial, None)}
    assert left == {member.signature for member in members[2:]}


def test_a_second_driver_of_a_population_continues_it(population):
    run = population.begun(PopulationRun)
    members = one_turn(population, run, 4)
    population.runs.folder(members[3].signature).finish({}, 1)
    again = population.begun(PopulationRun)
    assert [trial.signature for trial in again.trials] == [trial.signature for trial in run.trials]
    left = {trial.signature for trial in iter(again.next_trial, None)}
    assert left == {member.signature for member in members[:3]}


def test_a_crash_between_copy_and_change_leaves_the_member_as_it_was(population):
    run = population.begun(PopulationRun)
    members = one_turn(population, run, 1)
    donor, member = (population.runs.folder(members[place].signature) for place in (3, 0))
    own = Checkpoints(member.checkpoints)
    assert own.copy_newest(Checkpoints(donor.checkpoints), generation=1) == 1
    assert member.perturbation() is None
    assert own.at(own.newest_step(print)) == {"step": 1, "of": 0}
