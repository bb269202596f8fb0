"""A script for ``sbatch`` that runs one trial by itself, without a launcher that follows it."""

from __future__ import annotations

import shlex
from pathlib import Path

from orchestration.distributed.node import RENDEZVOUS_VARIABLE
from orchestration.errors import ExitCode
from orchestration.launch.slurm.options import SlurmOptions, as_line, python_of, sbatch_flags, set_up
from orchestration.launch.worker import THREAD_VARIABLES, worker_environment
from orchestration.resources import Resources
from orchestration.trial_description import Trial


def script_text(trial: Trial, folder: Path, options: SlurmOptions) -> str:
    """Return a script for ``sbatch`` that runs one trial by itself, without this launcher.

    Args:
        trial: whose resources it asks for.
        folder: of the trial; it must exist when the job starts, and what the trial needs must be done.
        options: what the script asks for besides.
    """
    resources = options.resources_of(trial.resources)
    flags = {"job-name": trial.experiment, **sbatch_flags(resources, options)}
    flags["output"] = str(folder / "slurm-%j.log")
    srun = ["srun", f"--cpus-per-task={flags['cpus-per-task']}", "--kill-on-bad-exit=1"]
    environment = worker_environment(resources, "", {})
    command = f"{shlex.join(srun)} {python_of(options)} -m orchestration.trial {shlex.quote(str(folder))}"
    return "\n".join(
        [
            "#!/bin/bash",
            f"# {trial.experiment}/{trial.name}",
            *(as_line(name, value) for name, value in sorted(flags.items())),
            "",
            *set_up(options),
            *(f"export {name}={environment[name]}" for name in THREAD_VARIABLES),
            f"cd {shlex.quote(str(Path.cwd()))}",
            *_meeting_place(resources, python_of(options)),
            command,
            "code=$?",
            f'[ "$code" != {ExitCode.RESUME_ME:d} ] || scontrol requeue "$SLURM_JOB_ID"',
            'exit "$code"',
            "",
        ]
    )


def _meeting_place(resources: Resources, python: str) -> list[str]:
    if resources.nodes == 1:
        return []
    program = "from orchestration.distributed.node import rendezvous_here; print(rendezvous_here())"
    return [f'export {RENDEZVOUS_VARIABLE}="$({python} -c {shlex.quote(program)})"']
