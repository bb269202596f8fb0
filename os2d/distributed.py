"""Several processes that work on one run together, as ``torchrun`` starts them on one machine.

Without a process group everything here is the identity, so that callers need not ask.

Gradients are summed by one plain all-reduce instead of torch's DistributedDataParallel: the objective looks at all
images of a batch at once (hardest negatives per label, numbers of positives), so every process computes the loss of the
joint batch and owns the part of its gradient that flows through its own images. Those parts add up; averaging them, as
DistributedDataParallel does, or losses per process would be another objective.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from os2d.errors import Os2dError

T = TypeVar("T")

PATIENCE = timedelta(hours=24)
"""Processes wait so long for each other: the first one may evaluate or mine much longer than the others."""


class ProcessLostError(Os2dError):
    """Another process of the run has ended, so that this one cannot go on."""

    exit_code = 75


class Launch(NamedTuple):
    """Which process this is, by the environment that ``torchrun`` sets."""

    rank: int
    world_size: int
    local_rank: int


def launch() -> Launch:
    """Return the place of this process in the launch; alone without ``torchrun``."""
    number = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    if any(value is None for value in number.values()):
        return Launch(0, 1, 0)
    return Launch(*(int(value or 0) for value in number.values()))


@contextmanager
def process_group(is_cuda: bool) -> Iterator[Launch]:
    """Join the processes of the launch for the duration of a block; tensors of a GPU travel by NCCL, others by gloo.

    Within another such block nothing is left to do.
    """
    place = launch()
    if place.world_size == 1 or dist.is_initialized():
        yield place
        return
    if is_cuda and torch.cuda.is_available():
        torch.cuda.set_device(place.local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if is_cuda else "gloo", timeout=PATIENCE)
    try:
        yield place
    finally:
        dist.destroy_process_group()


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
    values: list[Any] = [None] * world_size()
    with _waiting():
        dist.all_gather_object(values, value)
    return values


def from_first(value: T) -> T:
    """Return the value of the first process in every process."""
    if not dist.is_initialized():
        return value
    values = [value]
    with _waiting():
        dist.broadcast_object_list(values, src=0)
    return values[0]


def any_of(flag: bool) -> bool:
    """Return in every process whether the flag is set in some; it does not wait for a GPU."""
    if not dist.is_initialized():
        return flag
    flags = torch.tensor([int(flag)])
    with _waiting():
        dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags)


def wait_for_all() -> None:
    """Return when every process is here; files that the first one wrote before are complete."""
    any_of(False)


def sum_over_processes(values: Tensor) -> Tensor:
    """Add up a tensor over the processes, in place."""
    if dist.is_initialized():
        with _waiting():
            dist.all_reduce(values)
    return values


class SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over the processes, for losses that are sums over the processes as well."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Return the sum in every process."""
        return sum_over_processes(values.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return what all losses together want of this process's values."""
        return sum_over_processes(gradient.clone())


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Add up the gradients over the processes, in place; all have gradients of the same parameters."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not dist.is_initialized() or not gradients:
        return
    flat = sum_over_processes(torch.cat([g.reshape(-1) for g in gradients]))
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view(gradient.shape))


@torch.no_grad()
def take_state_of_first(module: nn.Module) -> None:
    """Give the network in every process the values it has in the first one."""
    if not dist.is_initialized():
        return
    for tensor in module.state_dict().values():
        values = tensor.contiguous()
        with _waiting():
            dist.broadcast(values, src=0)
        tensor.copy_(values)


@contextmanager
def _waiting() -> Iterator[None]:
    """Say in one line that another process has gone; its own message tells why."""
    try:
        yield
    except RuntimeError as e:  # torch has no narrower class for a lost connection
        if isinstance(e, torch.OutOfMemoryError):
            raise
        raise ProcessLostError(
            f"process {rank()}: another process of this run has ended ({str(e).splitlines()[0]}); "
            "the same command resumes the run"
        ) from e
