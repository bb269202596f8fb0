"""Spaces: which points they hold, and that random ones never move."""

import pytest

from orchestration.describe import Experiment
from orchestration.errors import DescriptionError
from orchestration.plan import plan
from orchestration.spaces import choice, draws, grid, loguniform, randint, uniform, when, zipped

DOMAINS = {"lr": loguniform(1e-5, 1e-2), "size": choice(["s", "m", "l"]), "depth": randint(2, 5)}


def test_grid_combines_every_value_and_the_last_key_varies_fastest():
    assert grid({"a": [1, 2], "b": ["x", "y"]}).points == (
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    )


def test_spaces_multiply_add_and_filter():
    space = (grid({"a": [1, 2]}) * grid({"b": [1, 2]})).where(lambda point: point["a"] <= point["b"])
    assert space.points == ({"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 2})
    assert (grid({"a": [1]}) + grid({"b": [2]})).points == ({"a": 1}, {"b": 2})


def test_a_product_of_spaces_that_set_the_same_key_is_refused():
    with pytest.raises(DescriptionError, match=r"both factors of a product set lr"):
        grid({"lr": [1]}) * grid({"lr": [2]})


@pytest.mark.parametrize("axes", [{"note": "abc"}, {"lr": 0.1}, {"lr": []}])
def test_an_axis_without_a_list_of_values_is_refused(axes):
    with pytest.raises(DescriptionError, match=next(iter(axes))):
        grid(axes)


def test_zipped_lists_vary_together():
    assert zipped({"a": [1, 2], "b": ["x", "y"]}).points == ({"a": 1, "b": "x"}, {"a": 2, "b": "y"})
    with pytest.raises(DescriptionError, match="a has 1, b has 2"):
        zipped({"a": [1], "b": [1, 2]})


def test_a_conditional_factor_leaves_the_other_points_alone():
    space = grid({"optim": ["sgd", "adam"]}) * when(lambda p: p["optim"] == "sgd", grid({"momentum": [0.8, 0.9]}))
    assert space.points == ({"optim": "sgd", "momentum": 0.8}, {"optim": "sgd", "momentum": 0.9}, {"optim": "adam"})


def test_a_condition_on_an_absent_key_says_which():
    with pytest.raises(DescriptionError, match="a condition reads b"):
        grid({"a": [1]}).where(lambda p: p["b"] > 0)


def test_more_draws_and_more_keys_keep_the_draws_there_were():
    few, many = draws(DOMAINS, n=5).points, draws(DOMAINS, n=50).points
    assert many[:5] == few
    wider = draws({**DOMAINS, "decay": uniform(0, 1)}, n=5).points
    assert [{key: point[key] for key in DOMAINS} for point in wider] == list(few)
    assert draws(DOMAINS, n=5, seed=1).points != few


def test_the_first_draw_is_the_same_on_every_machine():
    assert draws({"depth": randint(0, 10**6), "size": choice(["abcdef", "g"])}, n=1, seed=3).points == (
        {"depth": 591114, "size": "abcdef"},
    )


def test_draws_fill_their_domains_evenly():
    points = draws({**DOMAINS, "decay": uniform(-1, 3)}, n=3000).points
    assert all(1e-5 <= p["lr"] <= 1e-2 and -1 <= p["decay"] < 3 for p in points)
    assert sum(p["lr"] < 10**-3.5 for p in points) / 3000 == pytest.approx(0.5, abs=0.05)
    assert sum(p["decay"] for p in points) / 3000 == pytest.approx(1, abs=0.1)
    for key, values in (("size", ["s", "m", "l"]), ("depth", [2, 3, 4])):
        counts = [sum(p[key] == value for p in points) for value in values]
        assert sum(counts) == 3000 and min(counts) > 900


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: uniform(1, 1), "lower bound below"),
        (lambda: loguniform(0, 1), "above 0"),
        (lambda: randint(0.0, 2), "whole numbers"),
        (lambda: choice([]), "empty"),
        (lambda: draws({"lr": 0.1}, n=2), r"lr: expected choice"),
        (lambda: draws({"lr": uniform(0, 1)}, n=0), "positive number of points"),
        (lambda: grid({"lr": uniform(0, 1)}), r"lr: expected a list of values; a random value is for draws"),
        (lambda: grid({"a": [1]}) * {"b": [2]}, r"Space \* \.\.\.: expected a space.* got dict"),
        (lambda: grid({"a": [1]}) + when(bool, grid({"b": [2]})), r"got Conditional .*write space \* when"),
    ],
)
def test_a_domain_that_cannot_be_drawn_from_is_refused(wrong, message):
    with pytest.raises(DescriptionError, match=message):
        wrong()


def test_more_draws_keep_the_trials_there_were():
    def signatures(n):
        space = draws({"train.optim.lr": loguniform(1e-4, 1e-2)}, n=n)
        return [trial.signature for trial in plan([Experiment("e", "os2d.tasks:train", SHELF, space=space)]).trials]

    assert signatures(4)[:2] == signatures(2)


SHELF = {"train.dataset_name": "shelf-train", "eval.dataset_names": ["shelf-val-new-cl"], "is_cuda": False}
