"""SLURM's commands, and what they say when they refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from orchestration.errors import LaunchError

ANSWER_SECONDS = 60.0
NEEDED = ("sbatch", "squeue", "scontrol", "sinfo", "scancel", "srun")


class SlurmError(LaunchError):
    """SLURM refused something or did not answer."""


def require_commands() -> None:
    """Raise :class:`SlurmError` where jobs cannot be submitted from."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise SlurmError(
            f"{', '.join(missing)}: not on the PATH; --launcher slurm works on a login node of a SLURM cluster "
            "(perhaps after `module load slurm`); elsewhere use --launcher local or ray"
        )


def slurm(arguments: Sequence[str]) -> str:
    """Run a command of SLURM and return what it printed.

    Raises:
        SlurmError: with the reason, when it is not there, refuses, or gets no answer.
    """
    name = arguments[0]
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            env=outside_of_jobs(os.environ),
            check=False,
        )
    except FileNotFoundError as error:
        raise SlurmError(f"{name}: not on the PATH") from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(
            f"{name}: the SLURM controller did not answer within {ANSWER_SECONDS:g} s; try `sinfo`, and run the same "
            "command again when it answers"
        ) from error
    if done.returncode != 0:
        raise SlurmError(f"{name}: {complaint(done.stderr or done.stdout) or f'exit code {done.returncode}'}")
    return done.stdout


def complaint(stderr: str) -> str:
    """Return what a command of SLURM complained about, in one line and without its own name."""
    lines = []
    for line in stderr.splitlines():
        text = line.strip()
        for lead in ("sbatch:", "squeue:", "sacct:", "scontrol:", "scancel:", "sinfo:", "error:", "fatal:"):
            text = text.removeprefix(lead).strip()
        text = text.removeprefix("Batch job submission failed:").removeprefix("allocation failure:").strip()
        if text and text not in lines:
            lines.append(text)
    return "; ".join(lines)


def outside_of_jobs(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the traces of a job around this process: they would become options of new jobs."""
    kept = ("SLURM_CONF", "SLURM_CLUSTERS")
    return {name: value for name, value in environment.items() if name in kept or not name.startswith("SLURM_")}
