"""One number from steps, one spread from seeds."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.tables.reduction import reduce_steps, spread_of

CURVE = {10: 0.2, 5: 0.1, 20: 0.4, 30: 0.4, 40: 0.3}


@pytest.mark.parametrize(("reduce", "value"), [("last", 0.3), ("first", 0.1), ("max", 0.4), ("min", 0.1)])
def test_a_metric_is_reduced_over_its_steps(reduce, value):
    assert reduce_steps(CURVE, reduce) == value


def test_the_step_is_chosen_by_the_selection_metric():
    validation = {5: 0.9, 10: 0.2, 999: 1.0}
    assert reduce_steps(CURVE, "max", selection=validation) == CURVE[5]


def test_equal_maxima_take_the_earliest_step():
    assert reduce_steps({1: 7.0, 2: 8.0}, "max", selection={1: 0.5, 2: 0.5}) == 7.0


def test_the_largest_finite_value_counts():
    assert reduce_steps({1: 0.5, 2: math.nan, 3: math.inf}, "max") == 0.5
    assert reduce_steps({1: math.nan}, "max") is None
    assert reduce_steps({}, "last") is None


def test_a_run_that_diverged_has_no_last_value():
    assert reduce_steps({1: 0.5, 2: math.nan}, "last") is None


def test_an_unknown_reduction_is_named():
    with pytest.raises(ValueError, match="reduce: expected last, first, max or min, got 'mean'"):
        reduce_steps(CURVE, "mean")


def test_one_seed_has_no_spread():
    assert spread_of([0.5]) == (0.5, None, 1)
    assert spread_of([]) == (None, None, 0)
    assert spread_of([math.nan, math.inf]) == (None, None, 0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=10))
def test_spread_is_the_sample_standard_deviation(values):
    mean, std, n = spread_of(values)
    assert n == len(values)
    assert mean == pytest.approx(statistics.fmean(values))
    assert std == pytest.approx(statistics.stdev(values))
