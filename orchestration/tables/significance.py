"""Whether a row is worse than the best of its column by more than the seeds explain.

Runs with the same seed are compared in pairs. If two rows were equally good, each difference could as well have the
other sign: the exact sign-flip test counts all 2^n ways of giving the differences signs. The p values of a column are
corrected for their number by Holm's method. SciPy's exact test visits the 2^n patterns, which ends at some 20 seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from orchestration.tables.result import Cell, TableResult

FEWEST_PAIRS = 3
MOST_PAIRS = 40
LEVEL = 0.05


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the share of all sign patterns whose sum is at least as far from zero as the one that was found.

    The 2^n sums are those of two halves added: counting them takes 2^(n/2) steps.
    """
    half = len(differences) // 2
    left, right = _signed_sums(differences[:half]), np.sort(_signed_sums(differences[half:]))
    rounding = 1e-9 * float(np.abs(differences).sum())
    least = abs(float(np.sum(differences))) - rounding
    if least <= 0:
        return 1.0
    above = np.searchsorted(right, least - left, side="left")
    as_far = 2 * int((len(right) - above).sum())  # the sums are symmetric around zero
    return as_far / (len(left) * len(right))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number (Holm 1979), in their order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def with_significance(result: TableResult) -> TableResult:
    """Return the table with the p value of every complete cell that shares seeds with the best of its column."""
    cells = [list(row) for row in result.cells]
    for j, head in enumerate(result.columns):
        rivals = {i: cell for i, cell in result.rivals(j).items() if cell.by_seed}
        if len(rivals) < 2:
            continue
        sign = -1 if head.lower_is_better else 1
        best = max(rivals, key=lambda i: sign * (rivals[i].mean or 0.0))
        differences = {i: _paired(rivals[best], cell) for i, cell in rivals.items() if i != best}
        tested = {i: found for i, found in differences.items() if FEWEST_PAIRS <= len(found) <= MOST_PAIRS}
        corrected = holm([sign_flip_p(found) for found in tested.values()])
        for i, p in zip(tested, corrected, strict=True):
            cells[i][j] = replace(cells[i][j], p=p, compared_with=result.rows[best])
    return replace(result, cells=tuple(map(tuple, cells)))


def is_worse(cell: Cell) -> bool:
    """Tell whether the cell differs from the best of its column by more than chance."""
    return cell.p is not None and cell.p < LEVEL


def _paired(best: Cell, other: Cell) -> list[float]:
    ours: Mapping[int, float] = dict(other.by_seed)
    return [value - ours[seed] for seed, value in best.by_seed if seed in ours]


def _signed_sums(values: Sequence[float]) -> np.ndarray:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
