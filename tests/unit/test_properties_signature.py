"""What holds for all configurations: the signature depends on what they mean, not on how they were written."""

import json
import math
from itertools import pairwise

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestration.describe import Experiment, Need, Variant
from orchestration.errors import OverrideError
from orchestration.plan import plan
from orchestration.signature import PartialSignature, canonical_json, flatten, nest, signature_of

TASK = "tests.integration.counting_task:task"

numbers = st.integers(-3, 3) | st.sampled_from([-0.0, 0.0, 0.1, 1.0, -1.0, 1e16, 1e-7, math.inf, -math.inf])
texts = st.text(max_size=4) | st.sampled_from(
    ["", "1", "1.0", "true", "null", "é", "e\u0301", "😀", "\u2028", '"', "\\"]
)
scalars = st.none() | st.booleans() | numbers | texts
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def meaning(value):
    """Return a text that is equal for two values exactly if they mean the same: types count, order of keys does not."""
    if isinstance(value, dict):
        return f"dict{sorted((key, meaning(item)) for key, item in value.items())}"
    if isinstance(value, list | tuple):
        return f"list{[meaning(item) for item in value]}"
    return f"{type(value).__name__}{value!r}"


def otherwise_written(value, random):
    """Return the same with the keys of every mapping in another order, and some lists as tuples."""
    if isinstance(value, dict):
        items = [(key, otherwise_written(item, random)) for key, item in value.items()]
        random.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return random.choice([list, tuple])(otherwise_written(item, random) for item in value)
    return value


@given(trees, st.randoms(use_true_random=False))
def test_a_value_has_one_text_however_it_was_written(value, random):
    assert canonical_json(otherwise_written(value, random)) == canonical_json(value)


@given(trees, trees)
def test_values_that_mean_something_else_have_another_text(one, other):
    assert (canonical_json(one) == canonical_json(other)) == (meaning(one) == meaning(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[(0.0, -0.0), (1, 1.0), (1, True), (0, False), (1, "1"), (None, "null"), (None, ""), ([], ()), ([1], 1)],
        *[("é", "e\u0301"), ({"a.b": 1}, {"a": {"b": 1}}), ({}, []), ([[1], 2], [1, [2]])],
    ],
)
def test_what_looks_alike_is_the_same_only_as_list_and_tuple(one, other):
    assert (canonical_json(one) == canonical_json(other)) == (one == [] and other == ())


@given(trees)
def test_a_text_survives_being_read_and_written_again(value):
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text("abc", min_size=1), trees, min_size=1), st.data())
def test_a_signature_does_not_depend_on_which_parts_came_last(values, data):
    parts = {name: canonical_json(value) for name, value in values.items()}
    late = data.draw(st.sets(st.sampled_from(sorted(parts)), min_size=1))
    early = {name: text for name, text in parts.items() if name not in late}
    partial = PartialSignature(early)
    others = {name: parts[name] for name in late}
    assert partial.with_parts(others) == partial.with_parts(others) == signature_of(parts)


finite_floats = st.floats(allow_nan=False)
configs = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.integers(0, 1000),
        "factor": finite_floats,
        "note": texts,
        "milestones": st.lists(st.integers(0, 9), max_size=3),
        "scales": st.lists(st.floats(0.1, 2) | st.just(-0.0), max_size=3),
        "optim.lr": finite_floats,
        "optim.nesterov": st.booleans(),
    },
)
neutral_settings = st.fixed_dictionaries(
    {},
    optional={
        "runtime.seconds_per_step": finite_floats,
        "runtime.kill_at": st.integers(),
        "runtime.failures_file": texts,
    },
)


def only_trial(config, **fields):
    return plan([Experiment("e", TASK, config=config, **fields)]).trials[-1]


@given(configs)
def test_a_configuration_read_back_from_json_or_yaml_is_the_same_trial(config):
    trial = only_trial(config)
    for tree in (nest(config), trial.config):
        for read in (json.loads(json.dumps(tree)), yaml.safe_load(yaml.safe_dump(tree, allow_unicode=True))):
            read.pop("random_seed", None)  # it is given by itself
            assert only_trial(read).signature == trial.signature


@given(configs, neutral_settings, st.text("ab", min_size=1, max_size=3))
def test_excluded_keys_and_names_do_not_count(config, settings, name):
    plain = only_trial(config)
    other = only_trial(config | settings, variants=[Variant(name)], tags={"named": name})
    assert (other.signature, other.group) == (plain.signature, plain.group)
    assert flatten(other.config) == flatten(plain.config) | settings


@given(configs, st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_seed_counts_for_the_trial_and_not_for_its_group(config, one, other):
    first, second = only_trial(config, seeds=[one]), only_trial(config, seeds=[other])
    assert (first.signature == second.signature) == (one == other)
    assert first.group == second.group


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_is_the_float_where_the_default_is_one_and_a_bool_never_is(number):
    assert only_trial({"optim.lr": number}).signature == only_trial({"optim.lr": float(number)}).signature
    assert only_trial({"scales": [number, 0.5]}).signature == only_trial({"scales": [float(number), 0.5]}).signature
    assert only_trial({"milestones": [float(number)]}).signature == only_trial({"milestones": [number]}).signature
    for key in ("optim.lr", "steps"):
        with pytest.raises(OverrideError, match=f"{key}: expected"):
            only_trial({key: True})
    with pytest.raises(OverrideError, match="steps: expected int"):
        only_trial({"steps": float(number)})


@given(st.lists(finite_floats, max_size=3), st.integers(0, 3))
def test_nan_is_refused_wherever_it_stands(values, place):
    for config in ({"factor": math.nan}, {"scales": [*values[:place], math.nan, *values[place:]]}):
        with pytest.raises(OverrideError, match="expected a number, got nan"):
            only_trial(config)


chains = st.lists(configs, min_size=2, max_size=4)


def signatures_of_chain(configs, inputs=None):
    """Return the signatures of experiments of which each needs the one before."""
    experiments = []
    for number, config in enumerate(configs):
        needs = {(inputs or {}).get(number, "input"): Need(experiments[-1])} if experiments else {}
        experiments.append(Experiment(f"e{number}", TASK, config=config, needs=needs))
    planned = plan(experiments)
    signature = {(entry.experiment): entry.signature for entry in planned.entries}
    return [signature[experiment.name] for experiment in experiments]


@given(chains, st.data(), neutral_settings)
def test_a_change_counts_for_all_that_needs_it_however_far_and_for_nothing_else(configs, data, settings):
    place = data.draw(st.integers(0, len(configs) - 1))
    before = signatures_of_chain(configs)
    neutral = [config | settings if number == place else config for number, config in enumerate(configs)]
    assert signatures_of_chain(neutral) == before
    old = configs[place].get("steps", 20)
    changed = [config | {"steps": old + 1} if number == place else config for number, config in enumerate(configs)]
    after = signatures_of_chain(changed)
    assert [a == b for a, b in zip(before, after, strict=True)] == [number < place for number in range(len(configs))]


@given(chains, st.data())
def test_under_which_name_an_input_is_read_counts(configs, data):
    place = data.draw(st.integers(1, len(configs) - 1))
    before, after = signatures_of_chain(configs), signatures_of_chain(configs, {place: "teacher"})
    assert [a == b for a, b in zip(before, after, strict=True)] == [number < place for number in range(len(configs))]


@given(st.lists(configs, min_size=2, max_size=3), st.randoms(use_true_random=False))
def test_the_order_in_which_inputs_are_named_does_not_matter(configs, random):
    assume(all(one != other for one, other in pairwise(configs)))
    inputs = [(f"input{n}", Need(Experiment(f"n{n}", TASK, config=config))) for n, config in enumerate(configs)]
    before = only_trial({}, needs=dict(inputs)).signature
    random.shuffle(inputs)
    assert only_trial({}, needs=dict(inputs)).signature == before
