"""Points chosen from results: they follow the results, stay in their domains, and depend on nothing else."""

import math
import random

import pytest

from orchestration.describe import ASHA, BOHB, PBT, TPE, Sweep, choice, loguniform, randint, uniform
from orchestration.launch.sweeps.population import perturbed
from orchestration.sweep.search import Observation, suggest

DOMAINS = {
    "lr": loguniform(1e-5, 1),
    "margin": uniform(-1, 1),
    "depth": randint(2, 6),
    "layers": choice([(1, 2), (3,), "none"]),
}


def sweep(searcher, mode="max"):
    return Sweep("s", "t:t", domains=DOMAINS, searcher=searcher, metric="v", mode=mode, scheduler=ASHA(9, 1, 3))


def quality(point):
    return (
        -abs(math.log10(point["lr"]) + 3)
        - abs(point["margin"])
        - (point["depth"] != 4)
        - (list(point["layers"]) != [3])
    )


def searched(method, mode="max", n=28):
    """Run a search in which every second trial is pruned at the second rung."""
    one, sign = sweep(method(n, startup=8), mode), 1 if mode == "max" else -1
    seen = []
    for index in range(n):
        point = one.space.points[index] if index < 8 else suggest(one, index, seen)
        steps = range(1, 10) if index % 2 else range(1, 4)
        seen.append(Observation(point, "done" if index % 2 else "pruned", {s: sign * quality(point) for s in steps}))
    return one, seen


@pytest.mark.parametrize("mode", ["max", "min"])
def test_tpe_finds_better_points_than_it_starts_with(mode):
    _, seen = searched(TPE, mode)
    first, last = ([quality(observation.point) for observation in part] for part in (seen[:8], seen[-10:]))
    assert sum(last) / len(last) > sum(first) / len(first)
    assert max(last) > max(first)


def test_bohb_chooses_points_of_the_domains_from_results_alone():
    pytest.importorskip("hpbandster")
    pytest.importorskip("ConfigSpace")
    one, seen = searched(BOHB, n=10)
    point = suggest(one, 10, seen)
    assert suggest(one, 10, seen) == point
    assert 1e-5 <= point["lr"] <= 1 and point["depth"] in range(2, 6) and point["layers"] in [(1, 2), (3,), "none"]


def test_a_choice_depends_on_index_and_results_alone():
    one, seen = searched(TPE, n=12)
    assert suggest(one, 12, seen) == suggest(sweep(TPE(99, startup=8)), 12, seen)
    assert suggest(one, 12, seen) != suggest(one, 13, seen)
    assert suggest(one, 12, seen) != suggest(one, 12, seen[:8])


def test_failed_open_and_empty_trials_do_not_disturb_a_search():
    one, seen = searched(TPE, n=12)
    point = dict(one.space.points[0])
    for added in (Observation(point, "failed"), Observation(point, "open"), Observation(point, "done", {1: math.nan})):
        assert set(suggest(one, 12, [*seen, added])) == set(DOMAINS)


def test_chosen_values_have_the_types_of_their_domains_and_short_names():
    _, seen = searched(TPE, n=16)
    for observation in seen[8:]:
        point = observation.point
        assert 1e-5 <= point["lr"] <= 1 and -1 <= point["margin"] <= 1
        assert type(point["depth"]) is int and 2 <= point["depth"] <= 5
        assert point["layers"] in [(1, 2), (3,), "none"]
        assert len(str(point["lr"])) <= 11


def test_a_point_read_back_from_json_is_the_same_point():
    one, seen = searched(TPE, n=12)
    as_read = [
        Observation({**each.point, "layers": list(each.point["layers"])}, each.end, each.scores)
        if isinstance(each.point["layers"], tuple)
        else each
        for each in seen
    ]
    assert suggest(one, 12, as_read) == suggest(one, 12, seen)


def test_perturbed_settings_are_near_and_stay_in_their_domains():
    start = {"lr": 0.9, "margin": 1.0, "depth": 5, "layers": "none"}
    pbt = PBT(4, 5, resample=0.0)
    for seed in range(50):
        near = perturbed(start, DOMAINS, pbt, random.Random(seed))
        assert near["lr"] in (pytest.approx(0.72), 1)
        assert near["margin"] in (pytest.approx(0.8), 1.0)
        assert near["depth"] in (4, 5)
        assert near["layers"] in ((3,), "none")
    anew = {perturbed(start, DOMAINS, PBT(4, 5, resample=1.0), random.Random(seed))["lr"] for seed in range(20)}
    assert len(anew) == 20 and all(1e-5 <= lr <= 1 for lr in anew)
