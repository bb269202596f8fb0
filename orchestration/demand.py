"""What trials ask for: cores and cards times the hours that their experiments allow them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestration.resources import Resources


@dataclass(frozen=True)
class Demand:
    """Hours of cards and of cores; None where some trial that takes any names no ``hours``."""

    gpu_hours: float | None
    cpu_hours: float | None


def demand_of(resources: Iterable[Resources]) -> Demand:
    """Return what trials with these resources ask for together, if each needs one attempt of full length."""
    listed = list(resources)
    return Demand(
        _total((one.nodes * one.gpus, one.hours) for one in listed),
        _total((one.nodes * one.cpus, one.hours) for one in listed),
    )


def resources_text(resources: Resources) -> str:
    """Return resources for people; each is per node.

    >>> resources_text(Resources(nodes=2, cpus=4, gpus=1, memory_gb=16, hours=12))
    '2 nodes, 4 cpus, 1 gpu, 16 GB, 12 h'
    """
    nodes, processes = resources.nodes, resources.processes_per_node
    return ", ".join(
        [
            *([f"{nodes} nodes"] if nodes > 1 else []),
            *([f"{processes} processes"] if processes > 1 else []),
            _counted(resources.cpus, "cpu"),
            *([_counted(resources.gpus, "gpu")] if resources.gpus else []),
            f"{resources.memory_gb:g} GB",
            *([f"{resources.hours:g} h"] if resources.hours else []),
        ]
    )


def _counted(number: float, what: str) -> str:
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _total(parts: Iterable[tuple[float, float | None]]) -> float | None:
    total = 0.0
    for number, hours in parts:
        if number and hours is None:
            return None
        total += number * (hours or 0.0)
    return total
