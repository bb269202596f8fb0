"""What a trial occupies: cores, cards, memory, time, machines."""

from __future__ import annotations

import math
from dataclasses import dataclass

from orchestration.errors import DescriptionError


@dataclass(frozen=True)
class Resources:
    """What one trial occupies while it runs. Nothing here changes a result, so nothing here is part of its signature.

    Args:
        cpus: processor cores of each node; also the threads the numerical libraries may use, shared by its processes.
        gpus: graphics cards of each node; a fraction shares one card.
        memory_gb: main memory of each node, in units of 10^9 bytes. Schedulers that enforce memory (SLURM) get it as
            the limit.
        hours: time limit of one attempt; a trial that reaches it saves, stops and is continued. None: no limit.
        nodes: machines that compute the trial together.
        processes: of the trial on each node; None: one per whole card, at least one. Several, on one node or more,
            form a torch.distributed group.
        partition: of a SLURM cluster; None: the launcher's, else the cluster's default.
        constraint: features a SLURM node must have, as ``sbatch --constraint`` takes them.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_gb: float = 4.0
    hours: float | None = None
    nodes: int = 1
    processes: int | None = None
    partition: str | None = None
    constraint: str | None = None

    @property
    def processes_per_node(self) -> int:
        """How many processes run on each node."""
        return self.processes or max(1, int(self.gpus))

    @property
    def is_distributed(self) -> bool:
        """Tell whether several processes compute one trial."""
        return self.nodes * self.processes_per_node > 1

    def __post_init__(self) -> None:
        for key, low in (("cpus", 0), ("gpus", 0), ("memory_gb", 0), ("hours", 0)):
            value = getattr(self, key)
            if value is None and key == "hours":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise DescriptionError(f"Resources: {key}: expected a number, got {value!r}")
            if value < low or (value == 0 and key != "gpus"):
                raise DescriptionError(f"Resources: {key}: expected a positive number, got {value!r}")
            object.__setattr__(self, key, float(value))
        if self.gpus > 1 and not self.gpus.is_integer():
            raise DescriptionError(f"Resources: gpus: expected a fraction of one card or whole cards, got {self.gpus}")
        for key in ("nodes", "processes"):
            count = getattr(self, key)
            if count is None and key == "processes":
                continue
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise DescriptionError(f"Resources: {key}: expected a whole number from 1 on, got {count!r}")
        for key in ("partition", "constraint"):
            text = getattr(self, key)
            if text is not None and (not isinstance(text, str) or not text.strip()):
                raise DescriptionError(f"Resources: {key}: expected a text or None, got {text!r}")
