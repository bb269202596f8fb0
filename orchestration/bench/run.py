"""A whole run of the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from orchestration.bench.case import QUICK, Case, Sizes
from orchestration.bench.finding import Finding
from orchestration.bench.machine import describe_machine
from orchestration.bench.report import Report
from orchestration.errors import DescriptionError

STAGES = {
    "plan": "planning:measure_planning",
    "status": "status:measure_status",
    "worker-start": "worker_start:measure_worker_start",
    "local": "local:measure_local",
    "logging": "logging_cost:measure_logging",
    "ray": "ray:measure_ray",
    "slurm": "slurm:measure_slurm",
    "sync": "tracking:measure_sync",
    "table": "tracking:measure_tables",
}
"""Stage -> the module of this package and the function in it; loaded when the stage is measured."""


def run_benchmark(stages: str, quick: bool, progress: Console) -> Report:
    """Return the findings of all chosen stages.

    Args:
        stages: names separated by commas; empty: all.
        quick: small sizes and one repetition: whether everything works, not how fast it is.
        progress: is told what is going on.

    Raises:
        DescriptionError: a stage that does not exist.
    """
    names = chosen_stages(stages)
    sizes, machine = QUICK if quick else Sizes(), describe_machine()
    findings: list[Finding] = []
    with (
        TemporaryDirectory(prefix="oneshot-bench-", ignore_cleanup_errors=True) as folder,
        progress.status("") as status,
    ):
        case = Case(sizes, Path(folder))
        for number, name in enumerate(names, start=1):
            status.update(f"{name} ({number} of {len(names)})")
            findings.extend(_measure(name)(case))
    return Report(machine, sizes, findings)


def chosen_stages(names: str) -> list[str]:
    """Return the stages of a comma-separated list, in the order of the benchmark; empty: all."""
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    for name in chosen:
        if name not in STAGES:
            raise DescriptionError(f"--stages: no stage is named {name!r}; expected some of {', '.join(STAGES)}")
    return [name for name in STAGES if name in chosen or not chosen]


def _measure(stage: str) -> Callable[[Case], Iterator[Finding]]:
    module, _, function = STAGES[stage].partition(":")
    found: Callable[[Case], Iterator[Finding]] = getattr(import_module(f"orchestration.bench.{module}"), function)
    return found
