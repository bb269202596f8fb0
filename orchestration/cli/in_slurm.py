"""``run --in-slurm``: a Ray cluster, and the launch itself, inside one job of SLURM."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from orchestration.errors import DescriptionError, ExitCode, ResourcesError
from orchestration.launch.slurm.options import SlurmOptions
from orchestration.resources import Resources
from orchestration.trial_description import Trial

PANEL = "For --launcher ray inside a SLURM job"

InSlurmOption = Annotated[
    bool,
    typer.Option("--in-slurm", help="start a Ray cluster in a SLURM job and launch there", rich_help_panel=PANEL),
]
NodesOption = Annotated[int, typer.Option("--nodes", min=1, help="of that cluster", rich_help_panel=PANEL)]
MemoryOption = Annotated[
    float | None,
    typer.Option("--memory-gb", help="of each node (default: 4 for each core)", rich_help_panel=PANEL),
]


@dataclass(frozen=True)
class Allocation:
    """What the command line says of the job."""

    nodes: int
    cpus: float | None
    gpus: int | None
    memory_gb: float | None


def run_in_slurm(
    command: Sequence[str],
    trials: Sequence[Trial],
    runs: Path,
    allocation: Allocation,
    options: SlurmOptions,
    is_attached: bool = True,
) -> int:
    """Submit the job, follow it while attached, and return the exit code of the launch in it.

    Args:
        command: the arguments of ``oneshot`` in the job, but for the address of its cluster.
        trials: that are not done.
        runs: the runs folder.
        allocation: what the job gets on each node.
        options: what else it asks SLURM for.
        is_attached: whether to stay until the end.
    """
    from orchestration.launch.machine import require_fit
    from orchestration.launch.ray.in_slurm import follow, interrupted, submit
    from orchestration.slurm.command import require_commands

    resources = _resources(allocation, options)
    require_commands()
    require_fit(trials, [(resources.cpus, resources.gpus)] * resources.nodes, "a node of the job")
    submitted = submit(command, runs.absolute(), resources, options)
    print(f"SLURM job {submitted.number} launches the trials; log {submitted.log}", file=sys.stderr)
    if not is_attached:
        return ExitCode.DONE
    try:
        return follow(submitted, sys.stderr)
    except KeyboardInterrupt:
        return interrupted(submitted)


def command_in_job(
    file: Path | None, arguments: Sequence[str], runs: Path, only: Sequence[str] | None, **options: object
) -> list[str]:
    """Return the arguments of ``oneshot`` for the job; options that are None or False are left out."""
    command = ["run", str(file), *arguments, "--launcher", "ray", "--runs", str(runs.absolute())]
    for name in only or ():
        command += ["--only", name]
    for name, value in options.items():
        if value is not None and value is not False:
            command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return command


def _resources(allocation: Allocation, options: SlurmOptions) -> Resources:
    cpus = allocation.cpus
    if cpus is None or cpus < 1 or cpus != int(cpus):
        raise ResourcesError("--in-slurm: say with --cpus how many cores of each node the Ray cluster gets")
    if options.conda_env:
        raise DescriptionError("--conda-env: not with --in-slurm, whose job runs this Python; activate it before")
    return Resources(
        cpus=cpus,
        gpus=float(allocation.gpus or 0),
        memory_gb=allocation.memory_gb or 4 * cpus,
        hours=options.hours,
        nodes=allocation.nodes,
        partition=options.partition,
        constraint=options.constraint,
    )
