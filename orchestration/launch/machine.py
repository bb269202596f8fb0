"""What this machine offers: processor cores and graphics cards."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from orchestration.errors import ResourcesError
from orchestration.trial_description import Trial


def available_cpus() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Return the names of the cards as ``CUDA_VISIBLE_DEVICES`` knows them; the variable, when set, has the say."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        names = [name.strip() for name in chosen.split(",") if name.strip()]
        return names[: names.index("-1")] if "-1" in names else names
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    cards = [line for line in listing.stdout.splitlines() if line.startswith("GPU ")]
    return [str(index) for index in range(len(cards))] if listing.returncode == 0 else []


def chosen_gpus(count: int | None) -> list[str]:
    """Return the first ``count`` visible cards, or all of them."""
    names = visible_gpus()
    if count is not None and count > len(names):
        raise ResourcesError(
            f"--gpus {count}: this machine has {len(names)} visible graphics cards; lower --gpus, or name the cards in "
            "CUDA_VISIBLE_DEVICES"
        )
    return names if count is None else names[:count]


def require_fit(trials: Sequence[Trial], offers: Sequence[tuple[float, float]], where: str) -> None:
    """Raise :class:`ResourcesError` when a trial fits none of the offers, each (cores, cards) of one machine."""
    for trial in trials:
        cpus, gpus, nodes = trial.resources.cpus, trial.resources.gpus, trial.resources.nodes
        fitting = sum(cpus <= offer[0] and gpus <= offer[1] for offer in offers)
        if 0 < fitting < nodes:
            raise ResourcesError(
                f"experiment {trial.experiment!r}, trial {trial.name!r}: asks for {nodes} nodes of {cpus:g} cpus and "
                f"{gpus:g} gpus, but only {fitting} such are there; it would wait for ever. "
                "Change the experiment's resources"
            )
        if not fitting:
            most = (
                f"{max((o[0] for o in offers), default=0):g} cpus and {max((o[1] for o in offers), default=0):g} gpus"
            )
            raise ResourcesError(
                f"experiment {trial.experiment!r}, trial {trial.name!r}: asks for {cpus:g} cpus and {gpus:g} gpus, "
                f"but {where} has {most}; it would wait for ever. Change the experiment's resources"
            )
