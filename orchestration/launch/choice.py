"""A launcher by its name; the only place that knows which there are."""

from __future__ import annotations

from orchestration.errors import DescriptionError
from orchestration.launch import Launcher


def make_launcher(
    name: str,
    cpus: float | None = None,
    gpus: int | None = None,
    slots: int | None = None,
    address: str | None = None,
) -> Launcher:
    """Return the launcher called ``local`` or ``ray`` for what the command line says."""
    if name == "ray":
        from orchestration.launch.ray import RayLauncher

        return RayLauncher(cpus=cpus, gpus=gpus, slots=slots, address=address)
    from orchestration.launch.local import LocalLauncher

    if address is not None:
        raise DescriptionError("--address: only with --launcher ray")
    return LocalLauncher(cpus=cpus, gpus=gpus, slots=slots)
