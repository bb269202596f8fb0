"""Experiments made from others: the same structure with other settings."""

import pytest

from orchestration.derive import Derivation
from orchestration.describe import Column, Experiment, Need, Published, Resources, Row, Table, Variant, grid
from orchestration.errors import DescriptionError
from orchestration.plan import plan

TASK = "tests.integration.counting_task:task"

training = Experiment(
    "training",
    TASK,
    {"steps": 100, "optim.lr": 0.1},
    [Variant("slow"), Variant("fast", {"optim.lr": 0.5, "optim.nesterov": True}, {"kind": "fast"})],
    seeds=[3, 4],
    tags={"system": "counting"},
    trial_name="{variant}_seed{seed}",
)
evaluation = Experiment(
    "evaluation",
    TASK,
    {"steps": 7},
    [Variant("of fast", needs={"model": Need(training, "fast")})],
    seeds=[3, 4],
)
few = Resources(cpus=2, memory_gb=1)


def derivation(**changes: object) -> Derivation:
    return Derivation(lambda name: f"mini-{name}", {TASK: changes}, few)


def configs(experiment: Experiment) -> dict[str, dict]:
    return {trial.variant: trial.config for trial in plan([experiment]).trials_of(experiment.name)}


def test_a_change_holds_wherever_the_original_sets_the_key():
    made = configs(derivation(**{"optim.lr": 0.01}).experiment(training))
    assert made["slow"]["optim"] == {"lr": 0.01, "nesterov": False}
    assert made["fast"]["optim"] == {"lr": 0.01, "nesterov": True}
    assert made["slow"]["steps"] == made["fast"]["steps"] == 100


def test_a_table_of_changes_is_by_the_value_of_the_original_or_its_default():
    changes = {"optim.lr": {0.1: 1.0, 0.5: 5.0}, "milestones": {(5, 10): [2], (1, 2): [4]}}
    original = Experiment("training", TASK, {"optim.lr": 0.1}, [Variant("a"), Variant("b", {"milestones": [1, 2]})])
    made = configs(derivation(**changes).experiment(original))
    assert {name: config["optim"]["lr"] for name, config in made.items()} == {"a": 1.0, "b": 1.0}
    assert (made["a"]["milestones"], made["b"]["milestones"]) == ([2], [4])


def test_a_function_gets_the_value_of_the_original():
    made = configs(derivation(**{"optim.lr": lambda lr: lr / 10}).experiment(training))
    assert made["fast"]["optim"]["lr"] == 0.05


def test_names_of_variants_and_trials_seeds_and_tags_stay():
    made = derivation().experiment(training)
    trials = plan([made]).trials_of("mini-training")
    assert [trial.name for trial in trials] == ["slow_seed3", "slow_seed4", "fast_seed3", "fast_seed4"]
    assert trials[2].tags == {"system": "counting", "kind": "fast"}
    assert trials[0].resources == few


def test_needs_are_derived_too_and_each_experiment_once():
    derived = derivation(steps=1)
    made, needed = derived.experiment(evaluation), derived.experiment(training)
    planned = plan([needed, made])
    (first, _) = planned.trials_of("mini-evaluation")
    (fast,) = (trial for trial in planned.trials_of("mini-training") if trial.name == "fast_seed3")
    assert first.needs == {"model": fast.signature}
    assert {trial.config["steps"] for trial in planned.trials} == {1}


def test_deriving_twice_plans_the_same_trials():
    signatures = [
        [trial.signature for trial in plan([derivation(steps=2).experiment(evaluation)]).trials] for _ in range(2)
    ]
    assert signatures[0] == signatures[1]


def test_a_table_keeps_rows_and_columns_without_published_numbers():
    original = Table(
        "results",
        "Results",
        [training, evaluation],
        columns=[Column("count", "count", tags={"kind": "fast"}), Column("all", "count_*", values=500)],
        rows=[Row("training", experiment="training"), Row("evaluation", variant="of fast")],
        published={("training", "count"): Published(1.0, "a paper")},
        published_in="Table 1",
    )
    made = derivation().table(original, "In small")
    assert made.experiment_names == ("mini-training", "mini-evaluation")
    assert [(row.title, row.experiment, row.variant) for row in made.rows] == [
        ("training", "mini-training", None),
        ("evaluation", None, "of fast"),
    ]
    assert [column.title for column in made.columns] == ["count", "all"]
    assert made.columns[0].tags == {"kind": "fast"}
    assert made.columns[1].values is None
    assert (made.name, made.title, dict(made.published), made.published_in) == ("mini-results", "In small", {}, "")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"stepz": 1}, "stepz: the task has no such key"),
        ({"steps": {50: 5}}, "'slow': steps: nothing is said about the value 100, only about 50"),
    ],
)
def test_a_change_that_fits_nothing_is_an_error(changes, message):
    with pytest.raises(DescriptionError, match=message):
        derivation(**changes).experiment(training)


def test_a_task_without_changes_is_an_error():
    with pytest.raises(DescriptionError, match="nothing is said about changes of its task"):
        Derivation(str, {}, few).experiment(training)


def test_a_space_is_refused():
    with pytest.raises(DescriptionError, match="this one has a space"):
        derivation().experiment(Experiment("wide", TASK, space=grid({"steps": [1, 2]})))
