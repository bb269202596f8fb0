"""Suppression of many boxes is that of torchvision, whatever the boxes, scores and threads."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import nms

from os2d.structures.suppression import FEW_BOXES, suppress, suppress_runs


def many_boxes(seed: int, count: int, grid: int, levels: int, spread: float) -> tuple[Tensor, Tensor]:
    """Return boxes and scores; a coarse grid gives equal boxes and boxes without area, few levels equal scores."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 100
    side = torch.rand(count, 2, generator=generator) * spread
    scores = torch.randn(count, generator=generator)
    boxes = torch.cat([corner, corner + side], dim=1)
    return (boxes * grid).round() / grid, (scores * levels).round() / levels


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    count=st.integers(FEW_BOXES - 1, 2 * FEW_BOXES),
    grid=st.sampled_from([1, 64]),
    levels=st.sampled_from([1, 10, 10**6]),
    spread=st.sampled_from([2.0, 40.0, 1000.0]),
    threshold=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1 / 3, 1.0]),
)
def test_the_same_boxes_stay_in_the_same_order(
    seed: int, count: int, grid: int, levels: int, spread: float, threshold: float
) -> None:
    boxes, scores = many_boxes(seed, count, grid, levels, spread)
    assert torch.equal(suppress(boxes, scores, threshold), nms(boxes, scores, threshold))


def test_scores_of_minus_zero_and_infinity_rank_like_others() -> None:
    boxes, scores = many_boxes(0, 2 * FEW_BOXES, 64, 1, 40.0)
    scores[::7], scores[1::7], scores[5], scores[9] = 0.0, -0.0, float("inf"), -float("inf")
    assert torch.equal(suppress(boxes, scores, 0.3), nms(boxes, scores, 0.3))


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_runs_are_suppressed_one_by_one(threads: int) -> None:
    lengths = [FEW_BOXES + 100, 0, 7, 2 * FEW_BOXES, FEW_BOXES + 1]
    boxes, scores = many_boxes(3, sum(lengths), 64, 100, 40.0)
    expected, start = [], 0
    for length in lengths:
        run = slice(start, start + length)
        expected.append(nms(boxes[run], scores[run], 0.3) + start)
        start += length
    assert torch.equal(suppress_runs(boxes, scores, lengths, 0.3), torch.cat(expected))


def test_no_runs_keep_nothing() -> None:
    assert suppress_runs(torch.empty(0, 4), torch.empty(0), [], 0.3).tolist() == []
