"""Descriptions become trials: names, configurations, needs and sharing."""

import subprocess
import sys

import pytest

from orchestration.describe import Column, Experiment, Need, Space, Table, Variant, grid, seeds
from orchestration.errors import DescriptionError, OverrideError
from orchestration.plan import plan
from orchestration.trial_description import Trial

TASK = "tests.integration.counting_task:task"


def experiment(name="counts", **fields):
    return Experiment(**{"name": name, "task": TASK, **fields})


def only_trial(**fields):
    (trial,) = plan([experiment(**fields)]).trials
    return trial


def test_trials_are_variants_times_space_times_seeds():
    planned = plan(
        [
            experiment(
                variants=[Variant("plain"), Variant("fast", {"steps": 5})],
                space=grid({"optim.lr": [0.1, 0.2]}),
                seeds=seeds(2),
            )
        ]
    )
    assert [trial.name for trial in planned.trials][:3] == [
        "plain,optim.lr=0.1-seed0",
        "plain,optim.lr=0.1-seed1",
        "plain,optim.lr=0.2-seed0",
    ]
    assert len(planned.trials) == len({trial.signature for trial in planned.trials}) == 8
    assert len({trial.group for trial in planned.trials}) == 4


def test_a_trial_carries_its_full_configuration_and_its_seed():
    trial = only_trial(
        config={"optim.lr": 1}, variants=[Variant("v", {"note": "0.1", "milestones": (1, 2)})], seeds=[7]
    )
    assert trial.config["optim"] == {"lr": 1.0, "nesterov": False}
    assert trial.config["note"] == "0.1"
    assert trial.config["milestones"] == [1, 2]
    assert trial.config["scales"] == [0.5, 1.0]
    assert trial.seed == trial.config["random_seed"] == 7


def test_later_overrides_win_and_groups_of_keys_may_be_nested():
    trial = only_trial(
        config={"optim": {"lr": 0.3, "nesterov": True}, "steps": 3},
        variants=[Variant("v", {"steps": 4, "optim.lr": 0.4})],
        space=grid({"steps": [5]}),
    )
    assert (trial.config["steps"], trial.config["optim"]) == (5, {"lr": 0.4, "nesterov": True})


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"optim.lrr": 1.0}, r"optim\.lrr: .* did you mean optim\.lr\?"),
        ({"lr": 1.0}, r"lr: .* did you mean optim\.lr"),
        ({"optim": 1.0}, r"optim: this is a group of keys"),
        ({"steps": 1.5}, r"steps: expected int \(default 20\), got float 1\.5"),
        ({"steps": "5"}, r"steps: expected int .* got str '5'"),
        ({"steps": True}, r"steps: expected int .* got bool True"),
        ({"optim.nesterov": 1}, r"optim\.nesterov: expected bool .* got int 1"),
        ({"optim.lr": None}, r"optim\.lr: expected float .* got NoneType None"),
        ({"note": 5}, r"note: expected str .* got int 5"),
        ({"optim.lr": float("nan")}, r"optim\.lr: expected a number, got nan"),
        ({"scales": [1, float("nan")]}, r"scales\[1\]: expected a number, got nan"),
        (
            {"note": "caf\udce9"},
            r"note: expected text, got 'caf.*', which is no UTF-8; rename the file",
        ),
        ({"optim.lr": "0.1"}, r"optim\.lr: expected float .* got str '0\.1'"),
        ({"optim": {"lr": 1}, "optim.lr": 2}, r"optim\.lr: it is set twice here"),
        ({"optim.lr": 2, "optim": {"lr": 1}}, r"optim\.lr: it is set twice here"),
        ({"scales": 0.5}, r"scales: expected list .* got float"),
        ({"scales": ["a"]}, r"scales\[0\]: expected float"),
        ({"random_seed": 3}, r"random_seed: the seed of a trial comes from `seeds`; write seeds=\[3\]"),
    ],
)
def test_an_override_that_does_not_fit_says_where_it_was_written(overrides, message):
    with pytest.raises(OverrideError, match=f"experiment 'counts': {message}"):
        plan([experiment(config=overrides)])
    with pytest.raises(OverrideError, match=f"experiment 'counts', variant 'v': {message}"):
        plan([experiment(variants=[Variant("v", overrides)])])


def test_what_the_task_itself_refuses_says_which_variant_it_was():
    with pytest.raises(DescriptionError, match=r"experiment 'counts', variant 'v': steps: expected 0 or more, got -1"):
        plan([experiment(variants=[Variant("v", {"steps": -1})])])
    with pytest.raises(DescriptionError, match=r"variant 'default', point optim\.lr=0\.5, steps=-1: steps: expected"):
        plan([experiment(space=grid({"optim.lr": [0.5], "steps": [1, -1]}))])


def test_equal_points_are_one_trial_and_are_named():
    planned = plan([experiment(space=grid({"optim.lr": [1.0, 0.2, 1.0]}))])
    assert len(planned.trials) == 2
    assert planned.repeated == ("counts/default,optim.lr=1.0-seed0",)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("counting", "expected 'package.module:object'"),
        ("no_such_package.tasks:train", "there is no module 'no_such_package'"),
        ("tests.integration.counting_task:other", "has no object 'other'"),
        ("json:dumps", "it lacks code_version"),
    ],
)
def test_a_task_that_cannot_be_used_is_named(task, message):
    with pytest.raises(DescriptionError, match=message):
        plan([experiment(task=task)])


def test_needs_come_first_and_match_by_variant_and_seed():
    training = experiment("training", variants=[Variant("a"), Variant("b", {"steps": 3})], seeds=2)
    planned = plan([experiment("reading", variants=training.variants, seeds=2, needs={"model": Need(training)})])
    order = [trial.signature for trial in planned.trials]
    for trial in planned.trials_of("reading"):
        needed = planned.trials[order.index(trial.needs["model"])]
        assert (needed.variant, needed.seed, needed.experiment) == (trial.variant, trial.seed, "training")
        assert order.index(needed.signature) < order.index(trial.signature)


def test_what_is_only_needed_is_not_requested():
    training = experiment("training", variants=[Variant("a"), Variant("b", {"steps": 3})], seeds=3)
    planned = plan([experiment("reading", seeds=[1], needs={"model": Need(training, "b")})])
    assert [(entry.name, entry.requested) for entry in planned.entries] == [
        ("b-seed1", False),
        ("default-seed1", True),
    ]
    assert len(planned.requested) == 1


def test_only_requests_one_experiment_and_keeps_what_it_needs():
    planned = plan(
        [
            experiment("training"),
            experiment("other", config={"steps": 1}),
            experiment("r", needs={"m": Need("training")}),
        ],
        only=["r"],
    )
    assert [(entry.experiment, entry.requested) for entry in planned.entries] == [("training", False), ("r", True)]


def test_only_leaves_out_the_tables_that_show_other_experiments():
    first, second = experiment("a"), experiment("b")
    tables = [
        Table(name, name, of, [Column("x", "x")])
        for name, of in (("a", first), ("b", second), ("both", [first, second]))
    ]
    assert [table.name for table in plan([first, second, *tables], only=["a"]).tables] == ["a"]
    assert len(plan([first, second, *tables]).tables) == 3


def test_seeds_of_one_group_stay_together_when_their_needs_differ_by_seed():
    training = experiment("training", seeds=2)
    reading = plan([experiment("reading", seeds=2, needs={"m": Need(training)})]).trials_of("reading")
    assert len({trial.group for trial in reading}) == 1
    fixed = plan([experiment("reading", seeds=2, needs={"m": Need(training, seed=0)})]).trials_of("reading")
    assert {trial.needs["m"] for trial in fixed} == {plan([training]).trials[0].signature}


@pytest.mark.parametrize(
    ("need", "message"),
    [
        (Need("nothing"), "there is no experiment 'nothing'; there are: reading, training"),
        (Need("training/c"), "has no variant 'c'; it has: a, b"),
        (Need("training"), r"several variants \(a, b\) and none is called 'default'"),
        (Need("training/a", seed=9), "not run with seed 9"),
    ],
)
def test_a_need_that_nothing_provides_is_refused(need, message):
    training = experiment("training", variants=[Variant("a"), Variant("b")])
    with pytest.raises(DescriptionError, match=f"reading/default: need 'm': .*{message}"):
        plan([training, experiment("reading", needs={"m": need})])


def test_needs_in_a_circle_are_named():
    a = experiment("a", needs={"x": Need("b")})
    b = experiment("b", needs={"x": Need("c")})
    c = experiment("c", needs={"x": Need("a")})
    with pytest.raises(DescriptionError, match=r"circle: a/default -> b/default -> c/default -> a/default"):
        plan([a, b, c])


def test_experiments_that_ask_for_the_same_trial_share_it():
    planned = plan([experiment("one", seeds=2), experiment("two", variants=[Variant("same", {"steps": 20})])])
    assert len(planned.trials) == 2
    (shared,) = planned.trials_of("two")
    assert (shared.experiment, shared.name) == ("two", "same-seed0")
    assert shared.signature == planned.trials_of("one")[0].signature


def test_two_different_trials_with_one_name_are_refused():
    space = Space(({"note": "b,steps=5"}, {"note": "b", "steps": 5}))
    with pytest.raises(DescriptionError, match="two different trials are called 'default,note=b,steps=5-seed0'"):
        plan([experiment(space=space)])


def test_a_table_may_bring_its_experiment_and_must_not_name_an_unknown_one():
    columns = [Column("value", "value")]
    assert len(plan([Table("t", "", experiment(), columns)]).trials) == 1
    with pytest.raises(DescriptionError, match="table 't': there is no experiment 'other'"):
        plan([experiment(), Table("t", "", "other", columns)])


def test_a_trial_survives_its_own_file_format():
    trial = only_trial(space=grid({"optim.lr": [0.5]}))
    assert Trial.from_dict(trial.as_dict()) == trial


def test_planning_imports_no_heavy_library():
    code = (
        "import sys; from orchestration.cli import app; from orchestration.describe import Experiment;"
        f"from orchestration.plan import plan; plan([Experiment('e', {TASK!r})]);"
        "print([name for name in ('ray', 'mlflow', 'torch', 'submitit', 'pandas') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_trials_can_have_names_of_another_pattern():
    named = experiment(variants=[Variant("exp1.0")], seeds=seeds(2), trial_name="{variant}_seed{seed}")
    assert [trial.name for trial in plan([named]).trials] == ["exp1.0_seed0", "exp1.0_seed1"]
    with pytest.raises(DescriptionError, match=r"called .exp1\.0.; rename a variant, or put \{point\}"):
        plan([experiment(variants=[Variant("exp1.0")], seeds=seeds(2), trial_name="{variant}")])


@pytest.mark.parametrize("pattern", ["{nothing}", "{variant", "{variant}/{seed}", ""])
def test_a_pattern_that_makes_no_name_is_refused(pattern):
    with pytest.raises(DescriptionError, match=r"trial_name .* expected a name with \{variant\}"):
        experiment(trial_name=pattern)


def test_a_table_with_a_cell_that_no_trial_fills_is_found_before_anything_runs():
    table = Table("t", "t", experiment(), [Column("x", "x", tags={"data": "none"})])
    with pytest.raises(DescriptionError, match="row 'default', column 'x': no trial of the row is of the column"):
        plan([table])
