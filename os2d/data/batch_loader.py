"""Batches by number, made in worker processes and handed out in order, with readable errors."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from os2d.errors import Os2dError

T = TypeVar("T")
Batch = TypeVar("Batch", covariant=True)


class Batches(Protocol[Batch]):
    """A function of the batch number alone, so any process may compute any batch."""

    def __getitem__(self, number: int, /) -> Batch:
        """Return one batch."""


@dataclass(frozen=True)
class _Failure:
    error: Os2dError


class _ErrorsAsItems(Dataset[object]):
    """Hands errors over as items: raised in a worker, their message would be buried under its traceback."""

    def __init__(self, batches: Batches[object]) -> None:
        self.batches = batches

    def __getitem__(self, number: int) -> object:
        try:
            return self.batches[number]
        except Os2dError as e:
            return _Failure(e)


class BatchLoader(Generic[T]):
    """The batches of the given numbers, in their order, prepared ahead of time.

    Args:
        batches: number -> batch.
        numbers: which batches, in which order.
        num_workers: processes that prepare them; 0: the calling process.
        pin_memory: put tensors into memory that copies to the GPU fast; batches need a method ``pin_memory``.
        prefetch: batches that each worker prepares ahead.
    """

    def __init__(
        self, batches: Batches[T], numbers: Sequence[int], num_workers: int, *, pin_memory: bool, prefetch: int
    ) -> None:
        self.batches = batches
        self.numbers = numbers
        self.num_workers = min(num_workers, len(numbers))
        self.pin_memory = pin_memory
        self.prefetch = prefetch

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[T]:
        parallel = self.num_workers > 0
        loader = DataLoader(
            _ErrorsAsItems(self.batches),
            batch_size=None,
            sampler=self.numbers,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            prefetch_factor=self.prefetch if parallel else None,
            collate_fn=_unchanged,
            worker_init_fn=_start_worker if parallel else None,
            multiprocessing_context=_context() if parallel else None,
            generator=torch.Generator(),  # otherwise iterating draws from the global generator
        )
        for item in loader:
            if isinstance(item, _Failure):
                raise item.error
            yield item


def share_of(count: int, rank: int, world_size: int) -> slice:
    """Return which of ``count`` items belong to a process; shares keep the order and differ by one item at most."""
    return slice(rank * count // world_size, (rank + 1) * count // world_size)


def _unchanged(item: T) -> T:
    """Hand an item over as it is; torch's default would turn tuples into lists."""
    return item


def _context() -> multiprocessing.context.BaseContext:
    """Return the way to start workers: forked where that is sound, so that decoded images are shared with them."""
    return multiprocessing.get_context("fork" if sys.platform == "linux" else None)


def _start_worker(worker: int) -> None:
    """Leave the CPU cores to the trainer, and signals too: it decides when to stop, workers end with it."""
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
