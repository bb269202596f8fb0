"""Several processes that work on one run together, as ``torchrun`` starts them.

Without a process group everything here is the identity, so that callers need not ask.
"""

from __future__ import annotations

from typing import TypeVar

import torch.distributed as dist

T = TypeVar("T")


def rank() -> int:
    """Return the number of this process among those of the run."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return how many processes the run has."""
    return dist.get_world_size() if dist.is_initialized() else 1


def gather(value: T) -> list[T]:
    """Return the values of all processes, by rank, in every process; called by all of them."""
    if not dist.is_initialized():
        return [value]
    values: list[T | None] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]
