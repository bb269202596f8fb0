"""What a launch would run, as scripts: one folder per job under ``runs/.launch/<experiment>/``.

``launch.sh`` of a job runs its trial on this machine, ``sbatch.sh`` is for SLURM; ``out.txt`` and ``err.txt`` are links
to what the trial's last attempt printed. Beside the folders, ``launch.sh`` runs all jobs of the experiment one after
another and ``submit.sh`` submits them, each after those it needs. Everything is quoted, and every exit status is read.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.attempt import LAST
from orchestration.durable import link_to, make_folder, write_whole
from orchestration.errors import DescriptionError, ExitCode, ResourcesError
from orchestration.journal import TrialFolder
from orchestration.launch.slurm.batch_script import script_text
from orchestration.launch.slurm.options import SlurmOptions, python_of, set_up
from orchestration.launch.worker import THREAD_VARIABLES, worker_command, worker_environment
from orchestration.plan import Entry, Plan
from orchestration.runs import Runs, file_name
from orchestration.trial_description import Trial

FOLDER = ".launch"

_SIGNALS = """\
stopped=
child=
trap 'stopped=yes; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' INT TERM HUP
run() { # as in the foreground, but a signal to this script reaches the command as well
    "$@" &
    child=$!
    wait "$child"
    status=$?
    while kill -0 "$child" 2>/dev/null; do
        wait "$child"
        status=$?
    done
    child=
    return "$status"
}
"""


@dataclass(frozen=True)
class LogNames:
    """The files in a job's folder that show what it printed."""

    stdout: str = "out.txt"
    stderr: str = "err.txt"

    def __post_init__(self) -> None:
        for flag, name in (("--stdout-file", self.stdout), ("--stderr-file", self.stderr)):
            if not name or name in (".", "..") or "/" in name or name in _SCRIPTS:
                raise DescriptionError(f"{flag} {name!r}: expected a file name; the file lies in the job's own folder")
        if self.stdout == self.stderr:
            raise DescriptionError(f"--stdout-file and --stderr-file: both are {self.stdout!r}; they are two files")


_SCRIPTS = ("launch.sh", "sbatch.sh")


@dataclass(frozen=True)
class JobFiles:
    """A trial and the folder of its scripts."""

    name: str
    trial: Trial
    folder: Path
    why_not_slurm: str = ""


@dataclass(frozen=True)
class Written:
    """What was written for one experiment: ``launch`` runs its jobs here, ``submit`` gives them to SLURM.

    ``submit`` is absent where SLURM cannot run one of the jobs.
    """

    launch: Path
    submit: Path
    jobs: tuple[JobFiles, ...]


def write_scripts(plan: Plan, runs: Runs, logs: LogNames, options: SlurmOptions) -> list[Written]:
    """Write the scripts of every trial of a plan, whose folders exist.

    Returns what was written for each requested experiment; its scripts start what its jobs need of others as well.
    """
    trials = {trial.signature: trial for trial in plan.trials}
    jobs: dict[str, JobFiles] = {}  # a trial that two jobs ask for is run once
    for entry in plan.entries:
        if entry.signature not in jobs:
            jobs[entry.signature] = _write_job(entry, trials[entry.signature], runs, logs, options)
        link_logs(runs, entry, logs)
    requested: dict[str, list[str]] = {}
    for entry in plan.entries:
        if entry.requested:
            requested.setdefault(entry.experiment, []).append(entry.signature)
    return [
        _write_experiment(runs.root / FOLDER / experiment, _with_needs(signatures, jobs))
        for experiment, signatures in requested.items()
    ]


def job_folder(runs: Runs, entry: Entry) -> Path:
    """Return the folder of a job's scripts and log links."""
    return runs.root / FOLDER / entry.experiment / file_name(entry.name, entry.signature)


def link_logs(runs: Runs, entry: Entry, logs: LogNames) -> None:
    """Let the log files of a job show what the last attempt at its trial printed, also of attempts to come."""
    folder = job_folder(runs, entry)
    make_folder(folder)
    attempt = runs.folder(entry.signature).attempts_folder / LAST
    for name, log in ((logs.stdout, "stdout.log"), (logs.stderr, "stderr.log")):
        link_to(folder / name, os.path.relpath(attempt / log, folder))


def _write_job(entry: Entry, trial: Trial, runs: Runs, logs: LogNames, options: SlurmOptions) -> JobFiles:
    name, folder = f"{entry.experiment}/{entry.name}", job_folder(runs, entry)
    make_folder(folder)
    _write_script(folder / "launch.sh", _local_script(name, trial, runs.folder(trial.signature), folder, logs, options))
    try:
        _write_script(folder / "sbatch.sh", script_text(trial, runs.folder(trial.signature).path, options))
    except ResourcesError as error:
        (folder / "sbatch.sh").unlink(missing_ok=True)
        return JobFiles(name, trial, folder, f"{name} {error}")
    return JobFiles(name, trial, folder)


def _write_experiment(folder: Path, jobs: Sequence[JobFiles]) -> Written:
    written = Written(folder / "launch.sh", folder / "submit.sh", tuple(jobs))
    _write_script(written.launch, _one_after_another(jobs))
    if any(job.why_not_slurm for job in jobs):
        written.submit.unlink(missing_ok=True)
    else:
        _write_script(written.submit, _submission(jobs))
    return written


def _with_needs(signatures: Sequence[str], jobs: Mapping[str, JobFiles]) -> list[JobFiles]:
    """Return jobs, and before them those that they need."""
    wanted = set(signatures)
    for job in reversed(list(jobs.values())):
        if job.trial.signature in wanted:
            wanted |= job.trial.needs.values() & jobs.keys()
    return [job for signature, job in jobs.items() if signature in wanted]


def _local_script(
    name: str, trial: Trial, folder: TrialFolder, job: Path, logs: LogNames, options: SlurmOptions
) -> list[str]:
    environment = worker_environment(trial.resources, "", {})
    names = [*THREAD_VARIABLES, *(() if trial.resources.gpus else ("CUDA_VISIBLE_DEVICES",))]
    nodes = f"{name} runs on {trial.resources.nodes} nodes; submit sbatch.sh, or use oneshot run"
    return [
        f"# Runs {_comment(name)} here. Exit status: 0 done, {ExitCode.RESUME_ME:d} stopped and saved, others: failed.",
        *([f"echo {shlex.quote(nodes)} >&2", f"exit {ExitCode.WRONG_INPUT:d}"] if trial.resources.nodes > 1 else []),
        f"cd {shlex.quote(str(Path.cwd()))} || exit",
        *set_up(options),
        *(f"export {variable}={shlex.quote(environment[variable])}" for variable in names),
        _SIGNALS,
        f"echo {shlex.quote(f'{name}: see {job / logs.stdout} and {logs.stderr}')}",
        f"run {python_of(options)} {shlex.join(worker_command(folder)[1:])}",
        f'while [ "$status" = {ExitCode.RESUME_ME:d} ] && [ -z "$stopped" ]; do # its time limit: it goes on',
        f"    run {python_of(options)} {shlex.join(worker_command(folder)[1:])}",
        "done",
        'exit "$status"',
    ]


def _one_after_another(jobs: Sequence[JobFiles]) -> list[str]:
    """Return a script that goes on after a failure, stops when it is asked to, and fails when a job did."""
    return [
        f"# Runs {len(jobs)} jobs one after another. Exit status: 0 only when all are done.",
        _SIGNALS,
        "failed=0",
        *(
            f'[ -n "$stopped" ] || run bash {shlex.quote(str(job.folder / "launch.sh"))} || failed=$status'
            for job in jobs
        ),
        'exit "$failed"',
    ]


def _submission(jobs: Sequence[JobFiles]) -> list[str]:
    """Return a script that submits jobs, each after those it needs."""
    number = {job.trial.signature: i for i, job in enumerate(jobs)}
    lines = [
        f"# Submits {len(jobs)} jobs to SLURM; one waits for those it needs, and is dropped when they fail.",
        "set -e",
    ]
    for i, job in enumerate(jobs):
        needs = [f"${{job_{number[need]}}}" for need in job.trial.needs.values() if need in number]
        after = f' --dependency="afterok:{":".join(needs)}"' if needs else ""
        lines += [
            f"job_{i}=$(sbatch --parsable{after} {shlex.quote(str(job.folder / 'sbatch.sh'))})",
            f"job_{i}=${{job_{i}%%;*}}",
            f'echo "$job_{i}" {shlex.quote(job.name)}',
        ]
    return lines


def _write_script(path: Path, lines: str | Sequence[str]) -> None:
    text = lines if isinstance(lines, str) else "\n".join(["#!/usr/bin/env bash", *lines, ""])
    write_whole(path, text)
    path.chmod(0o755)


def _comment(text: str) -> str:
    return text.replace("\n", " ")
