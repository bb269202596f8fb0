"""What a launch asks SLURM for, as options of ``sbatch``."""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orchestration
from orchestration.errors import DescriptionError, ResourcesError
from orchestration.resources import Resources

SIGNAL_SECONDS = 120
"""How long before its time limit a job is told to save and continue later."""
EARLY_SECONDS = 60
"""SLURM looks at time limits once a minute: its signal may come so much earlier than asked for."""
WORK_SECONDS = 120
"""A job must have at least so long between its start and the earliest signal, or it never gets anywhere."""
MEBIBYTE = 2**20


@dataclass(frozen=True)
class SlurmOptions:
    """What a whole launch asks SLURM for; what an experiment's resources say comes first.

    Args:
        slots: trials at a time, of each array; None: as many as SLURM has room for.
        partition: for trials whose resources name none.
        account: to charge.
        qos: quality of service.
        constraint: for trials whose resources name none.
        exclusive: give each job whole nodes.
        exclude: nodes not to use, as SLURM writes lists of nodes.
        nodelist: nodes to use.
        hours: time limit of each job whose trial has none. None: the partition's.
        cpus: cores of each trial, instead of its own resources.
        gpus: cards of each trial, instead of its own resources.
        conda_env: name or folder of the conda environment jobs run in; None: this Python.
        sbatch: further options of ``sbatch`` without their dashes, such as ``{"mail-type": "FAIL"}``; "" for a flag.
    """

    slots: int | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclusive: bool = False
    exclude: str | None = None
    nodelist: str | None = None
    hours: float | None = None
    cpus: float | None = None
    gpus: int | None = None
    conda_env: str | None = None
    sbatch: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.slots is not None and self.slots < 1:
            raise ResourcesError(f"--slots {self.slots}: expected at least 1")
        if self.hours is not None and not self.hours > 0:
            raise ResourcesError(f"--hours {self.hours}: expected a positive number")
        ours = sorted(OURS & {name.replace("_", "-") for name in self.sbatch})
        if ours:
            raise DescriptionError(
                f"--sbatch {ours[0]}: the launcher sets this itself; use the experiment's resources or the launcher's "
                "own options"
            )

    def resources_of(self, asked: Resources) -> Resources:
        """Return the resources of a trial as this launch changes them."""
        return replace(
            asked,
            cpus=asked.cpus if self.cpus is None else float(self.cpus),
            gpus=asked.gpus if self.gpus is None else float(self.gpus),
            hours=asked.hours if asked.hours is not None else self.hours,
            partition=asked.partition or self.partition,
            constraint=asked.constraint or self.constraint,
        )


OURS = {
    *("array", "comment", "chdir", "cpus-per-task", "dependency", "error", "gpus-per-node", "job-name", "mem"),
    *("nodes", "ntasks", "ntasks-per-node", "open-mode", "output", "requeue", "signal", "time", "kill-on-invalid-dep"),
}
"""Options of sbatch that follow from the trials."""


def parse_sbatch(texts: Sequence[str]) -> dict[str, str]:
    """Return the options of ``--sbatch NAME=VALUE``, or ``NAME`` for a flag."""
    options = {}
    for text in texts:
        name, _, value = text.lstrip("-").partition("=")
        if not name or not name.replace("-", "").replace("_", "").isalnum():
            raise DescriptionError(f"--sbatch {text!r}: expected NAME=VALUE, as in --sbatch mail-type=FAIL")
        options[name] = value
    return options


def sbatch_flags(resources: Resources, options: SlurmOptions) -> dict[str, str | bool]:
    """Return the options of ``sbatch`` for a trial with these resources (already changed by the options).

    Raises:
        ResourcesError: SLURM cannot give that, or the time limit leaves no time to work.
    """
    flags: dict[str, str | bool | None] = {
        "nodes": str(resources.nodes),
        "ntasks-per-node": "1",
        "cpus-per-task": str(math.ceil(resources.cpus)),
        # Without a word about memory a job gets all of its node, and jobs run one after another.
        "mem": f"{math.ceil(resources.memory_gb * 1e9 / MEBIBYTE)}M",
        "gpus-per-node": str(_whole_cards(resources)) if resources.gpus else None,
        "time": str(_minutes(resources.hours)) if resources.hours else None,
        "signal": f"USR2@{SIGNAL_SECONDS}",
        "partition": resources.partition,
        "constraint": resources.constraint,
        "account": options.account,
        "qos": options.qos,
        "exclude": options.exclude,
        "nodelist": options.nodelist,
        "exclusive": options.exclusive or None,
        "requeue": True,
        "open-mode": "append",
        "kill-on-invalid-dep": "yes",
        **{name.replace("_", "-"): value or True for name, value in options.sbatch.items()},
    }
    return {name: value for name, value in flags.items() if value is not None}


def set_up(options: SlurmOptions) -> list[str]:
    """Return the lines of a job's script that come before its command."""
    home = str(Path(orchestration.__path__[0]).parent)
    paths = [home, *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != home)]
    lines = [f"export PYTHONPATH={shlex.quote(os.pathsep.join(paths))}"]
    if options.conda_env:
        lines += ['eval "$(conda shell.bash hook)"', f"conda activate {shlex.quote(options.conda_env)}"]
    return lines


def python_of(options: SlurmOptions) -> str:
    """Return the Python that jobs run, as a word of a shell."""
    return "python" if options.conda_env else shlex.quote(sys.executable)


def as_line(name: str, value: Any) -> str:
    """Return an option as a line of a script for ``sbatch``."""
    return f"#SBATCH --{name}" if value is True else f"#SBATCH --{name}={shlex.quote(str(value))}"


def _whole_cards(resources: Resources) -> int:
    if not resources.gpus.is_integer():
        raise ResourcesError(
            f"asks for {resources.gpus:g} gpus, but SLURM gives out whole cards; ask for gpus=1, or let trials share "
            "cards with --launcher ray inside one allocation (--in-slurm)"
        )
    return int(resources.gpus)


def _minutes(hours: float) -> int:
    minutes = round(hours * 60)
    least = math.ceil((SIGNAL_SECONDS + EARLY_SECONDS + WORK_SECONDS) / 60)
    if minutes < least:
        raise ResourcesError(
            f"has a time limit of {hours * 60:g} minutes, but SLURM may tell a job up to "
            f"{(SIGNAL_SECONDS + EARLY_SECONDS) / 60:g} minutes before its limit to save, so that it would not get "
            f"anywhere; ask for at least hours={least / 60:.3g} ({least} minutes), or for no limit"
        )
    return minutes
