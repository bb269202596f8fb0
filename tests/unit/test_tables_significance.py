"""The exact sign-flip test, Holm's correction, and what a table says of them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from orchestration.tables.result import Cell, ColumnHead, TableResult
from orchestration.tables.significance import holm, is_worse, sign_flip_p, with_significance

DIFFERENCES = st.lists(st.integers(-50, 50).map(lambda tenths: tenths / 10), min_size=1, max_size=8)


@given(DIFFERENCES)
def test_it_counts_all_sign_patterns(differences):
    found = abs(sum(differences))
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    expected = sum(one >= found - 1e-9 for one in sums) / len(sums)
    assert sign_flip_p(differences) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_test_of_scipy(seed):
    differences = np.random.default_rng(seed).normal(0.4, 1.0, size=3 + 2 * seed)
    expected = permutation_test(
        (differences,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert sign_flip_p(list(differences)) == pytest.approx(expected.pvalue)


@given(DIFFERENCES, st.randoms(use_true_random=False))
def test_neither_order_nor_direction_nor_unit_matters(differences, random):
    shuffled = random.sample(differences, len(differences))
    assert sign_flip_p([-100 * value for value in shuffled]) == pytest.approx(sign_flip_p(differences))


def test_the_smallest_p_of_n_seeds():
    assert sign_flip_p([1.0, 2.0, 3.0]) == 0.25
    assert sign_flip_p([0.1] * 40) == pytest.approx(2 / 2**40)


def test_equal_rows_do_not_differ():
    assert sign_flip_p([0.0, 0.0, 0.0]) == 1.0


def test_holm_multiplies_the_smallest_most():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def cell(row, values, state="done"):
    by_seed = tuple(enumerate(values))
    return (Cell(row, "c", sum(values) / len(values), 0.1, len(values), state, len(values), by_seed=by_seed),)


def compared(*cells, incomparable=(), lower_is_better=False):
    rows = tuple(one[0].row for one in cells)
    heads = (ColumnHead("c", lower_is_better=lower_is_better),)
    result = with_significance(TableResult("t", "t", rows, heads, cells, incomparable=frozenset(incomparable)))
    return {row[0].row: row[0] for row in result.cells}


def test_every_row_is_compared_with_the_best_one():
    found = compared(cell("good", [9.0] * 8), cell("close", [9.1, 8.8] * 4), cell("bad", [1.0] * 8))
    assert found["good"].p is None
    assert found["bad"].p == pytest.approx(2 * 2 / 2**8), "two tests: twice the smallest p of eight seeds"
    assert is_worse(found["bad"])
    assert not is_worse(found["close"])
    assert {found[row].compared_with for row in ("close", "bad")} == {"good"}


def test_the_best_one_is_the_lowest_where_less_is_better():
    assert compared(cell("a", [1.0] * 3), cell("b", [2.0] * 3), lower_is_better=True)["b"].compared_with == "a"


def test_two_shared_seeds_say_nothing():
    found = compared(cell("a", [1.0, 2.0, 3.0]), cell("b", [0.5, 0.6]))
    assert found["a"].p is found["b"].p is None


def test_rows_that_are_incomplete_or_not_comparable_stay_out():
    found = compared(
        cell("a", [1.0] * 3), cell("partial", [9.0] * 3, "partial"), cell("other", [9.0] * 3), incomparable=["other"]
    )
    assert [one.p for one in found.values()] == [None] * 3
