"""The table of a plan: what is new, what it asks for, and what is asked for twice."""

import io

import pytest
from rich.console import Console

from orchestration.demand import demand_of, resources_text
from orchestration.describe import Experiment, Need, Resources, Variant, grid
from orchestration.journal_records import State
from orchestration.listing import plan_records, print_plan
from orchestration.plan import plan

TASK = "tests.integration.counting_task:task"


def printed(planned, states):
    screen = io.StringIO()
    print_plan(planned, states, Console(file=screen, width=200))
    return screen.getvalue().splitlines()


def row(lines, start):
    return next(" ".join(line.split()) for line in lines if line.startswith(start) and "seed" not in line)


@pytest.mark.parametrize(
    ("resources", "gpu_hours", "cpu_hours"),
    [
        ([Resources(cpus=2, gpus=1, hours=3), Resources(cpus=1, hours=0.5)], 3.0, 6.5),
        ([Resources(nodes=2, gpus=4, hours=10)], 80.0, 20.0),
        ([Resources(gpus=0.25, hours=2)], 0.5, 2.0),
        ([Resources(gpus=1), Resources(hours=1)], None, None),
        ([Resources()], 0.0, None),
        ([], 0.0, 0.0),
    ],
)
def test_hours_of_cards_and_cores_are_known_where_hours_are(resources, gpu_hours, cpu_hours):
    demand = demand_of(resources)
    assert (demand.gpu_hours, demand.cpu_hours) == (gpu_hours, cpu_hours)


def test_resources_are_one_short_text():
    assert resources_text(Resources()) == "1 cpu, 4 GB"
    text = resources_text(Resources(nodes=2, cpus=8, gpus=2, memory_gb=16, hours=1.5))
    assert text == "2 nodes, 2 processes, 8 cpus, 2 gpus, 16 GB, 1.5 h"


def test_the_plan_says_per_experiment_what_is_new_and_what_it_asks_for():
    card = Resources(cpus=4, gpus=1, hours=6)
    training = Experiment("training", TASK, seeds=3, resources=card)
    reading = Experiment("reading", TASK, {"steps": 2}, needs={"m": Need(training, seed=0)}, resources=Resources())
    planned = plan([training, reading])
    done, running, blocked, new = (trial.signature for trial in planned.trials)
    states = {done: State.DONE, running: State.RUNNING, blocked: State.BLOCKED, new: State.PLANNED}
    lines = printed(planned, states)
    head = next(" ".join(line.split()) for line in lines if line.startswith("experiment") and "trials" in line)
    assert head == "experiment trials new running done blocked each GPU-h to run CPU-h to run"
    assert row(lines, "training") == "training 3 1 1 1 4 cpus, 1 gpu, 4 GB, 6 h 18 12 72 48"
    assert row(lines, "reading") == "reading 1 1 1 cpu, 4 GB 0 0 unknown unknown"
    assert lines[-4:] == [
        "4 trials: 1 new, 1 running, 1 done, 1 blocked",
        "GPU-hours: 18 asked for, 12 to run",
        "CPU-hours: unknown asked for, unknown to run",
        "unknown, because there is no Resources(hours=...) in reading",
    ]


def test_the_plan_names_requests_that_are_one_trial():
    one = Experiment("one", TASK, seeds=2)
    two = Experiment("two", TASK, variants=[Variant("same"), Variant("other", {"steps": 3})])
    planned = plan([one, two])
    states = dict.fromkeys((trial.signature for trial in planned.trials), State.PLANNED)
    assert "asked for more than once, run once: two/same-seed0 is one/default-seed0" in printed(planned, states)
    again = plan([Experiment("e", TASK, space=grid({"steps": [4, 4]}))])
    lines = printed(again, dict.fromkeys(again.requested, State.DONE))
    assert "asked for more than once, run once: e/default,steps=4-seed0 by equal points" in lines
    requests = [record["requests"] for record in plan_records(planned, states)]
    assert requests == [["one/default-seed0", "two/same-seed0"], ["one/default-seed1"], ["two/other-seed0"]]


def test_what_is_done_need_not_run():
    planned = plan([Experiment("e", TASK, resources=Resources(hours=2))])
    lines = printed(planned, {planned.trials[0].signature: State.DONE})
    assert lines[-2:] == ["GPU-hours: 0 asked for, 0 to run", "CPU-hours: 2 asked for, 0 to run"]
