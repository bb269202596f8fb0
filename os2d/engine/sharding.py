"""Numbered pieces of work shared between the processes of a run: dealt like cards, gathered in their order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeVar

from os2d.distributed import gather, rank, world_size

T = TypeVar("T")


def my_share(numbers: Sequence[int]) -> list[int]:
    """Return the numbers that are this process's to work on."""
    return list(numbers[rank() :: world_size()])


def gather_shares(results: list[T]) -> list[T]:
    """Return the results of all processes for all numbers, in the order of one process; called by all of them."""
    dealt = zip_longest(*([(result,) for result in share] for share in gather(results)))
    return [result for turn in dealt for place in turn if place is not None for result in place]
