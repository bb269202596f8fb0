"""Properties of plans that hold whatever is described: sizes, order, determinism, and what a signature is made of."""

import math
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.describe import Experiment, Need, Resources, Variant, choice, draws, grid, uniform, when, zipped
from orchestration.plan import plan
from orchestration.signature import canonical_json, flatten

TASK = "tests.integration.counting_task:task"

AXES = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.lists(st.integers(0, 50), min_size=1, max_size=3, unique=True),
        "optim.lr": st.lists(st.floats(0, 1), min_size=1, max_size=3, unique=True),
        "note": st.lists(st.text("ab,=-", max_size=3), min_size=1, max_size=3, unique=True),
        "scales": st.lists(st.lists(st.floats(0.5, 2), max_size=2), min_size=1, max_size=2, unique_by=str),
    },
)
POINTS = st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), max_size=5)


def size(axes):
    return math.prod(len(values) for values in axes.values())


@given(AXES)
def test_a_grid_has_every_combination_once(axes):
    points = grid(axes).points
    assert len(points) == len({canonical_json(point) for point in points}) == size(axes)
    assert all(point[key] in axes[key] for point in points for key in axes)


@given(st.dictionaries(st.sampled_from("ab"), st.lists(st.integers(), min_size=1, max_size=4)), st.integers(0, 9))
def test_products_sums_and_conditions_have_the_sizes_they_promise(axes, limit):
    one, other = grid(axes), grid({"z": [1, 2, 3]})
    few = one.where(lambda point: sum(point.values()) < limit)
    assert len((one * other).points) == 3 * len(one.points)
    assert len((one + other).points) == len(one.points) + 3
    assert len(few.points) == sum(sum(point.values()) < limit for point in one.points)
    conditional = one * when(lambda point: sum(point.values()) < limit, other)
    assert len(conditional.points) == len(one.points) + 2 * len(few.points)


@given(st.lists(st.tuples(st.integers(), st.text(max_size=2)), min_size=1, max_size=5))
def test_zipped_columns_give_back_their_rows(rows):
    points = zipped({"a": [a for a, _ in rows], "b": [b for _, b in rows]}).points
    assert [(point["a"], point["b"]) for point in points] == rows


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 2**40), st.sets(st.sampled_from("abcde"), min_size=1))
def test_draws_depend_on_seed_and_index_alone(few, more, seed, keys):
    domains = {key: uniform(0, 1) if key < "c" else choice([1, 2, 3]) for key in "abcde"}
    all_keys = draws(domains, n=few + more, seed=seed).points
    some = draws({key: domains[key] for key in sorted(keys, reverse=True)}, n=few, seed=seed).points
    assert [{key: point[key] for key in keys} for point in all_keys[:few]] == [dict(point) for point in some]


@settings(max_examples=50)
@given(AXES, st.integers(1, 3))
def test_a_plan_has_every_combination_once_and_is_the_same_every_time(axes, seeds):
    described = [Experiment("e", TASK, space=grid(axes), variants=[Variant("v"), Variant("w")], seeds=seeds)]
    first, second = plan(described), plan(described)
    assert first == second
    assert len({(entry.name, entry.signature) for entry in first.entries}) == 2 * seeds * size(axes)
    assert len(first.trials) == len({trial.signature for trial in first.trials}) == seeds * size(axes)
    assert len({trial.group for trial in first.trials}) == size(axes)


@settings(max_examples=50)
@given(st.lists(st.sets(st.integers(0, 5), max_size=3), min_size=1, max_size=6), st.integers(1, 2), st.randoms())
def test_a_trial_comes_after_everything_it_needs_in_whatever_order_it_is_written(needs_of, seeds, random):
    experiments = [
        Experiment(
            f"e{i}",
            TASK,
            {"steps": i},
            seeds=seeds,
            needs={f"n{need}": Need(f"e{need}") for need in sorted(needs) if need < i},
        )
        for i, needs in enumerate(needs_of)
    ]
    random.shuffle(experiments)
    trials = plan(experiments).trials
    position = {trial.signature: i for i, trial in enumerate(trials)}
    assert len(position) == len(trials) == seeds * len(experiments)
    assert all(position[need] < position[trial.signature] for trial in trials for need in trial.needs.values())


@settings(max_examples=50)
@given(AXES, st.integers(0, 9), st.sampled_from([0.5, 1.0, 2.0]), st.text("xyz", min_size=1, max_size=4))
def test_what_cannot_change_a_result_is_no_part_of_a_signature(axes, seed, cpus, word):
    plain = plan([Experiment("e", TASK, space=grid(axes), seeds=[seed])])
    dressed = plan(
        [
            Experiment(
                word,
                TASK,
                {"runtime.seconds_per_step": cpus},
                space=grid(dict(reversed(axes.items()))),
                variants=[Variant(word, tags={"t": word})],
                seeds=[seed],
                resources=Resources(cpus=cpus, hours=cpus),
                tags={word: word},
            )
        ]
    )
    assert {t.signature for t in plain.trials} == {t.signature for t in dressed.trials}
    assert {t.group for t in plain.trials} == {t.group for t in dressed.trials}


@settings(max_examples=50)
@given(AXES, st.integers(0, 9))
def test_a_signature_is_the_hash_of_everything_that_counts(axes, seed):
    needed = Experiment("needed", TASK, {"factor": 3}, seeds=[seed])
    for trial in plan([Experiment("e", TASK, space=grid(axes), seeds=[seed], needs={"n": Need(needed)})]).trials:
        config = flatten(trial.config)
        identity = {
            "task": trial.task,
            "code_version": trial.code_version,
            "config": {k: v for k, v in config.items() if k != "random_seed" and not k.startswith("runtime.")},
            "fingerprints": {},
            "needs": dict(trial.needs),
            "seed": seed,
        }
        assert trial.signature == sha256(canonical_json(identity).encode()).hexdigest()


@given(POINTS, st.data())
def test_a_dependent_finds_the_only_point_that_agrees(points, data):
    unique = [dict(items) for items in {tuple(sorted(point.items())) for point in points}]
    if not unique:
        return
    keys = {"a": "steps", "b": "save_every", "c": "factor"}
    named = [{keys[key]: value + 1 for key, value in point.items()} for point in unique]
    named = [point for point in named if not any(other.items() < point.items() for other in named)]
    needed = Experiment("needed", TASK, space=grid({}).where(lambda _: False) + _points(named))
    reading = Experiment(
        "reading", TASK, {"note": "r"}, space=_points([data.draw(st.sampled_from(named))]), needs={"n": Need(needed)}
    )
    (trial,) = plan([reading]).trials_of("reading")
    (provider,) = [t for t in plan([reading]).trials if t.signature == trial.needs["n"]]
    assert provider.point == trial.point


def _points(points):
    space = grid({}).where(lambda _: False)
    for point in points:
        space += grid({key: [value] for key, value in point.items()})
    return space
