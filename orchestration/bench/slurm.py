"""How long it takes to submit many trials to SLURM, beside an array of bare submitit."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial

from orchestration.bench.case import SOURCE, Case, plan_of, seconds_of
from orchestration.bench.finding import Finding, Target
from orchestration.errors import LaunchError
from orchestration.runs import Runs
from orchestration.slurm.current_job import JOB_PREFIX
from orchestration.trial_description import Trial

ANSWER_SECONDS = 30.0
GONE_SECONDS = 60.0
MINUTES = 10
PARALLEL = 2


def measure_slurm(case: Case) -> Iterator[Finding]:
    """Submit trials by our launcher and calls by bare submitit in turn; everything is cancelled at once."""
    title = f"SLURM: submit {case.sizes.submitted:,} trials"
    reason = _why_not()
    if reason:
        yield Finding("slurm", title, skipped=reason)
        return
    from orchestration.launch.slurm.launcher import SlurmLauncher
    from orchestration.launch.slurm.options import SlurmOptions
    from orchestration.slurm.queue import cancel_jobs

    trials = plan_of(case.sizes.submitted).trials
    ours, prepared, bare = [], [], []
    for _ in case.rounds():
        runs = Runs(case.new_folder("slurm"))
        prepared.append(seconds_of(partial(_prepare, trials, runs)))
        submit = partial(SlurmLauncher(SlurmOptions(slots=PARALLEL)).submit, trials, runs)
        jobs: dict[str, str] = {}
        ours.append(seconds_of(partial(_keep, submit, jobs)))
        cancel_jobs(jobs.values())
        _wait_until_gone(next(iter(jobs.values())).removeprefix(JOB_PREFIX))
        bare.append(_submit_bare(case))
    note = f"the folders exist; to make them took {min(prepared):.2f} s"
    limit = Target(1.3, of_ratio=True)
    yield Finding(
        "slurm", title, ours=tuple(ours), bare=tuple(bare), bare_title="submitit array", target=limit, note=note
    )


def _keep(call: Callable[[], dict[str, str]], into: dict[str, str]) -> None:
    into.update(call())


def _prepare(trials: tuple[Trial, ...], runs: Runs) -> None:
    for trial in trials:
        runs.create(trial)
        runs.ask(trial, (SOURCE,))


def _submit_bare(case: Case) -> float:
    import submitit

    folder = case.new_folder("submitit")
    executor = submitit.SlurmExecutor(folder=folder / "jobs")
    executor.update_parameters(time=MINUTES, mem="100M", cpus_per_task=1, array_parallelism=PARALLEL)
    jobs: list[submitit.Job[str]] = []
    names = [(str(folder / f"{index}"),) for index in range(case.sizes.submitted)]
    seconds = seconds_of(lambda: jobs.extend(executor.map_array(str, *zip(*names, strict=True))))
    array = jobs[0].job_id.partition("_")[0]
    subprocess.run(["scancel", "--quiet", array], check=True, timeout=ANSWER_SECONDS)
    _wait_until_gone(array)
    return seconds


def _wait_until_gone(job: str) -> None:
    """Wait for the elements of an array that had started: they write into the folder of the benchmark."""
    command = ["squeue", "--noheader", "--jobs", job.partition("_")[0]]
    deadline = time.monotonic() + GONE_SECONDS
    while time.monotonic() < deadline:
        left = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
        if not left.stdout.strip():
            return
        time.sleep(0.2)
    raise LaunchError(f"job {job} of the benchmark is still there {GONE_SECONDS:g} s after it was cancelled")


def _why_not() -> str:
    """Return why there is no cluster to measure on; empty when there is one."""
    missing = [name for name in ("sbatch", "squeue", "sinfo", "scancel") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)}: not on the PATH of {getpass.getuser()}: no SLURM here"
    try:
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"sinfo does not answer within {ANSWER_SECONDS:g} s"
    if done.returncode or not done.stdout.strip():
        return (
            f"no SLURM cluster answers: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no nodes'}"
        )
    return ""
