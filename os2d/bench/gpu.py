"""What only a GPU can show: whether the host waits for it, and whether it ever waits for data."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

from os2d.bench.case import Case
from os2d.data.train_loader import build_train_loader
from os2d.engine.optimisation import build_optimizer, trainable_parameters
from os2d.engine.training_step import training_step
from os2d.modeling.objective import Os2dObjective

WORKERS = 4
WARM_UP_STEPS, OBSERVED_STEPS = 5, 30


@dataclass(frozen=True)
class GpuFacts:
    """Findings on a GPU.

    Attributes:
        synchronisations: of the host with the GPU while classes are matched; there should be none.
        busy_share: part of the time of a training in which the GPU computed, with batches from 4 processes.
    """

    synchronisations: list[str]
    busy_share: float


def inspect_gpu(case: Case) -> GpuFacts | None:
    """Return the findings, or None where the case is not on a GPU."""
    if case.device.type != "cuda":
        return None
    return GpuFacts(_synchronisations(case), _busy_share(case))


def _synchronisations(case: Case) -> list[str]:
    features, heads = case.features, case.heads
    with torch.no_grad():
        case.model.match(features, heads)  # what is made once may wait
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                case.model.match(features, heads)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return [f"{w.filename}:{w.lineno}" for w in caught if "synchron" in str(w.message)]


def _busy_share(case: Case) -> float:
    config, model = case.stage_config("training-step"), case.fresh_model()
    config.runtime.num_workers = WORKERS
    optimizer = build_optimizer(trainable_parameters(model), config.train.optim)
    objective = Os2dObjective.from_config(config)
    steps = WARM_UP_STEPS + OBSERVED_STEPS
    loader = iter(build_train_loader(case.dataset, config, model.box_coder, seed=0, start=0, stop=steps))
    for _ in range(WARM_UP_STEPS):
        training_step(model, optimizer, objective, next(loader).to(case.device), config.train)
    torch.cuda.synchronize()
    start = time.perf_counter()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for batch in loader:
            training_step(model, optimizer, objective, batch.to(case.device), config.train)
        torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    intervals = [
        (e.time_range.start, e.time_range.end) for e in profiler.events() or [] if e.device_type.name == "CUDA"
    ]
    return _covered(intervals) / 1e6 / seconds


def _covered(intervals: list[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered
