"""A launcher by its name; the only place that knows which there are."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from orchestration.errors import DescriptionError
from orchestration.launch import Launcher
from orchestration.launch.slurm.options import SlurmOptions


class LauncherName(StrEnum):
    """Where trials run."""

    LOCAL = "local"
    RAY = "ray"
    SLURM = "slurm"


def make_launcher(
    name: str,
    cpus: float | None = None,
    gpus: int | None = None,
    slots: int | None = None,
    address: str | None = None,
    slurm: SlurmOptions | None = None,
) -> Launcher:
    """Return the launcher with this name for what the command line says.

    Under SLURM cores and cards are those of each trial, elsewhere those that all trials share.

    Raises:
        DescriptionError: an option that this launcher does not have.
        ValueError: no launcher has this name.
    """
    place = LauncherName(name)
    slurm = slurm or SlurmOptions()
    if place is LauncherName.SLURM:
        from orchestration.launch.slurm.launcher import SlurmLauncher

        if address is not None:
            raise DescriptionError("--address: only with --launcher ray")
        return SlurmLauncher(replace(slurm, slots=slots, cpus=cpus, gpus=gpus))
    if slurm != SlurmOptions():
        given = [key for key, value in vars(slurm).items() if value != getattr(SlurmOptions(), key)]
        raise DescriptionError(f"--{given[0].replace('_', '-')}: only with --launcher slurm")
    if place is LauncherName.RAY:
        from orchestration.launch.ray.launcher import RayLauncher

        return RayLauncher(cpus=cpus, gpus=gpus, slots=slots, address=address)
    from orchestration.launch.local import LocalLauncher

    if address is not None:
        raise DescriptionError("--address: only with --launcher ray")
    return LocalLauncher(cpus=cpus, gpus=gpus, slots=slots)
