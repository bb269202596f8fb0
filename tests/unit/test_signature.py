"""The signature depends on everything that can change a result, and on nothing else."""

import math

from hypothesis import given
from hypothesis import strategies as st

from orchestration.describe import Experiment, Need, Variant
from orchestration.plan import plan
from orchestration.signature import canonical_json, flatten, nest, signature_of, with_values

TASK = "tests.integration.counting_task:task"

VALUES = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.integers(0, 1000),
        "optim.lr": st.floats(allow_nan=False),
        "factor": st.integers(-5, 5).map(float),
        "note": st.text(max_size=5),
        "milestones": st.lists(st.integers(0, 9), max_size=3),
        "scales": st.lists(st.floats(0.1, 2), max_size=3),
        "optim.nesterov": st.booleans(),
    },
)


def signature(config, task=TASK, **fields):
    return plan([Experiment("e", task, config=config, **fields)]).trials[-1].signature


@given(VALUES, st.randoms(use_true_random=False))
def test_order_of_keys_and_kind_of_sequence_do_not_matter(values, random):
    shuffled = list(values.items())
    random.shuffle(shuffled)
    as_tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in shuffled}
    assert signature(values) == signature(as_tuples) == signature(nest(values))


@given(VALUES, VALUES)
def test_a_changed_value_changes_the_signature(one, other):
    def meaning(values):
        return canonical_json(plan([Experiment("e", TASK, config=values)]).trials[0].config)

    assert (signature(one) == signature(other)) == (meaning(one) == meaning(other))


def test_the_text_and_the_hash_of_a_value_stay_what_they_are():
    """Others would have every trial that is done run again."""
    value = {"b": (1, 0.5, "é"), "a": {"z": True, "y": None, "x": -0.0}, "c": math.inf}
    assert canonical_json(value) == '{"a":{"x":-0.0,"y":null,"z":true},"b":[1,0.5,"é"],"c":Infinity}'
    known = "09ad9fd2fb648cb2f62141215828ea00a62c299db05d20aa9ade2f527a301cc6"
    assert signature_of({"b": '"é"', "a": "1"}) == known


def test_a_default_written_out_is_the_same_trial():
    assert signature({}) == signature({"steps": 20, "scales": [0.5, 1]})


def test_infinities_are_values_like_others():
    assert len({signature({"factor": value}) for value in (math.inf, -math.inf, 0.0)}) == 3


def test_seed_task_version_needs_and_files_matter(tmp_path, monkeypatch):
    from tests.integration.counting_task import task

    data = tmp_path / "data.txt"
    data.write_text("one")
    found = {signature({}), signature({}, seeds=[1]), signature({}, needs={"x": Need(Experiment("n", TASK))})}
    found.add(signature({"data": str(data)}))
    data.write_text("three")
    found.add(signature({"data": str(data)}))
    monkeypatch.setattr(type(task), "code_version", "2")
    found.add(signature({}))
    assert len(found) == 6


def test_the_group_is_the_same_for_all_seeds_and_for_nothing_else():
    trials = plan([Experiment("e", TASK, variants=[Variant("a"), Variant("b", {"steps": 1})], seeds=3)]).trials
    assert len({trial.group for trial in trials}) == 2
    assert not {trial.group for trial in trials} & {trial.signature for trial in trials}


@given(VALUES)
def test_nesting_and_flattening_are_inverse(values):
    assert flatten(nest(values)) == values
    base = nest({"steps": 0, "optim.lr": 0.0, "optim.nesterov": False, "note": "n"})
    assert flatten(with_values(base, values)) == {**flatten(base), **values}
    assert base["optim"]["lr"] == 0.0
