"""What is written down about arrays of jobs, ``runs/.slurm/<id>/``, so that a crash neither loses nor doubles one.

=====================  ==================================================================  =====================
``manifest.json``      index -> trial, resources, directory; frozen before ``sbatch``      the launcher
``job.json``           the array's number; "" when it never came to a submission           the launcher, once
``job.pkl``            the call that every element makes                                   the launcher
``jobs/``              scripts, output and leftovers of submitit                           submitit, SLURM
=====================  ==================================================================  =====================

An array whose manifest lies there without ``job.json`` is either waiting in the queue under its name, or was never
submitted: the next launch finds out. All of this happens under one lock of the runs folder.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from orchestration.attempt import now_ms
from orchestration.durable import create_whole, make_folder, read_whole, to_json, write_whole
from orchestration.errors import LaunchError
from orchestration.resources import Resources
from orchestration.slurm.current_job import JOB_PREFIX
from orchestration.slurm.queue import JobState

LOCK_SECONDS = 600.0
GIVEN_UP = "given up: "
"""What a job says before the reason why its trial gets no further attempt."""
MOST_LINES = 20


@dataclass(frozen=True)
class Manifest:
    """What every element of an array needs to know.

    Args:
        name: of the array in the queue; no other array has it.
        runs: the runs folder.
        directory: where trials run.
        resources: of each element.
        trials: index -> signature.
    """

    name: str
    runs: Path
    directory: Path
    resources: Resources
    trials: Mapping[int, str]


class Submission:
    """The folder of one array of jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def jobs(self) -> Path:
        """Where submitit and SLURM write."""
        return self.folder / "jobs"

    @property
    def call(self) -> Path:
        """The pickled call that every element makes."""
        return self.folder / "job.pkl"

    def manifest(self) -> Manifest:
        """Return what was frozen."""
        fields = read_whole(self.folder / "manifest.json")
        if fields is None:
            raise LaunchError(f"{self.folder}/manifest.json: there is no such file; launch the trials again")
        return Manifest(
            name=fields["name"],
            runs=Path(fields["runs"]),
            directory=Path(fields["directory"]),
            resources=Resources(**fields["resources"]),
            trials={int(index): signature for index, signature in fields["trials"].items()},
        )

    def freeze(self, manifest: Manifest) -> None:
        """Write down what is about to be submitted."""
        make_folder(self.jobs)
        fields = {
            "created_ms": now_ms(),
            "name": manifest.name,
            "runs": str(manifest.runs),
            "directory": str(manifest.directory),
            "resources": vars(manifest.resources),
            "trials": manifest.trials,
        }
        write_whole(self.folder / "manifest.json", to_json(fields, indent=1))

    def job(self) -> str | None:
        """Return the number of the array, "" when it never came to be, and None while that is not known."""
        fields = read_whole(self.folder / "job.json")
        return fields["job"] if fields else None

    def note_job(self, number: str) -> None:
        """Write down the number of the array; the first one stands."""
        create_whole(self.folder / "job.json", to_json({"job": number}))


@dataclass(frozen=True)
class LastWords:
    """The last line a job printed, and why it gave its trial up; each empty when it said nothing like it."""

    last: str
    given_up: str


class Ledger:
    """All arrays ever submitted from a runs folder."""

    def __init__(self, runs: Path) -> None:
        self.folder = runs / ".slurm"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one launch at a time look at the queue and submit."""
        make_folder(self.folder)
        try:
            with FileLock(self.folder / "lock", timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise LaunchError(
                f"{error.lock_file}: another launch has been submitting for {LOCK_SECONDS:g} s; end that process, then "
                "run the same command again"
            ) from error

    def new(self) -> Submission:
        """Return the folder of the next array, which does not exist yet."""
        return Submission(self.folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}")

    def submissions(self) -> list[Submission]:
        """Return every array, oldest first."""
        if not self.folder.is_dir():
            return []
        return [Submission(path.parent) for path in sorted(self.folder.glob("*/manifest.json"))]

    def adopt(self, queue: Mapping[str, JobState]) -> None:
        """Find out what became of arrays whose launcher died while it submitted them."""
        orphans = [submission for submission in self.submissions() if submission.job() is None]
        by_name = {state.name: array_of(job) for job, state in queue.items()} if orphans else {}
        for orphan in orphans:
            orphan.note_job(by_name.get(orphan.manifest().name, ""))

    def waiting(self, queue: Mapping[str, JobState]) -> dict[str, str]:
        """Return signature -> job of trials whose job waits or runs."""
        arrays = {array_of(job) for job in queue}
        found = {}
        for submission in self.submissions():
            number = submission.job()
            if number and number in arrays:
                for index, signature in submission.manifest().trials.items():
                    job = f"{JOB_PREFIX}{number}_{index}"
                    if job in queue:
                        found[signature] = job
        return found

    def log(self, job: str) -> Path | None:
        """Return the file with what a job printed, if it got to print anything."""
        return next(iter(self.folder.glob(f"*/jobs/{job.removeprefix(JOB_PREFIX)}.log")), None)

    def last_words(self, job: str) -> LastWords:
        """Return what a job printed last."""
        path = self.log(job)
        lines = path.read_text(errors="replace").splitlines() if path else []
        said = [line.strip() for line in lines if line.strip() and not line.startswith(("srun: ", "slurmstepd: "))]
        given_up = [line.removeprefix(GIVEN_UP) for line in said[-MOST_LINES:] if line.startswith(GIVEN_UP)]
        return LastWords(said[-1] if said else "", given_up[-1] if given_up else "")


def array_of(job: str) -> str:
    """Return the number of the array that a job is an element of."""
    return job.removeprefix(JOB_PREFIX).partition("_")[0]


def queue_name(experiment: str, submission: Submission) -> str:
    """Return a name for the queue that people recognise and no other array has."""
    readable = re.sub(r"[^\w.-]+", "_", experiment)[:40]
    return f"{readable}.{submission.folder.name[-8:]}"
