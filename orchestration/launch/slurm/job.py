"""What runs in each job: it starts workers for one trial until that is done, given up, or the job has to end.

SLURM says so by SIGTERM (pre-emption, requeueing, cancelling) or, some time before a limit, by SIGUSR2. The worker
saves and exits, and unless SLURM has decided about the job already, it is put back into the queue. Whatever happens
without a word, pre-emption without grace or the death of a node, ends in the same job being started again, or in a new
one from the launch that follows it; the worker always continues from the trial's folder.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from orchestration.distributed.node import node_environment, rendezvous_here
from orchestration.errors import ExitCode
from orchestration.journal import TrialFolder
from orchestration.launch import Halt
from orchestration.launch.slurm.submission import GIVEN_UP, Manifest, Submission
from orchestration.launch.worker import MOST_STARTS, Next, Step, Worker
from orchestration.resources import Resources
from orchestration.slurm.command import SlurmError, slurm
from orchestration.slurm.current_job import JOB_PREFIX, current_job

POLL_SECONDS = 0.1
ELSEWHERE_SECONDS = 5.0
END_SECONDS = 60.0
"""How long to wait for SLURM to end a job that it has put back into the queue."""


def run(submission: str) -> None:
    """Run the trial of this element of an array; submitit calls this inside the job.

    Leaves with 0 only when the trial is done, so that what needs it may start.
    """
    halt = Halt()
    halt_at_signals(halt)
    manifest = Submission(Path(submission)).manifest()
    signature = manifest.trials[int(os.environ["SLURM_ARRAY_TASK_ID"])]
    code = work(TrialFolder(manifest.runs / signature), manifest, halt)
    if code == ExitCode.RESUME_ME:
        back_to_the_queue(current_job())
    if code != ExitCode.DONE:
        sys.exit(code)


def halt_at_signals(halt: Halt) -> None:
    """Let the signals by which SLURM announces a job's end ask for a halt; submitit's own handlers ignore SIGTERM."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        print(f"got {signal.Signals(number).name}", flush=True)
        halt.ask()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, on_signal)
    signal.signal(signal.SIGCONT, signal.SIG_IGN)


def work(folder: TrialFolder, manifest: Manifest, halt: Halt) -> int:
    """Start workers until the trial is done (0), given up (1), or the job has to end (75)."""
    starts = 0
    while not folder.is_done():
        if halt.asked:
            return ExitCode.RESUME_ME
        last = folder.last_attempt()
        if last is not None and last.is_live():  # of another launch
            halt.wait(ELSEWHERE_SECONDS)
            continue
        starts += 1
        step = _one_worker(folder, manifest, halt)
        if step.next is Next.GIVE_UP or starts >= MOST_STARTS:
            print(f"{GIVEN_UP}{step.reason or f'it did not finish in {starts} attempts'}", flush=True)
            return ExitCode.FAILED
        halt.wait(step.pause_seconds)
    return ExitCode.DONE


def back_to_the_queue(job: str) -> None:
    """Let SLURM start this job again later, unless it has decided about it already.

    A job that is being cancelled must not come back, and one that is being requeued will. Both are COMPLETING by now.
    """
    number = job.removeprefix(JOB_PREFIX)
    try:
        if "JobState=RUNNING" not in slurm(["scontrol", "show", "job", "-o", number]):
            return
        slurm(["scontrol", "requeue", number])
    except SlurmError as error:
        print(f"this job cannot be put back into the queue ({error}); `oneshot run` continues the trial", flush=True)
        return
    print("back to the queue", flush=True)
    time.sleep(END_SECONDS)  # SLURM ends this process


def _one_worker(folder: TrialFolder, manifest: Manifest, halt: Halt) -> Step:
    resources = manifest.resources
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "") if resources.gpus else ""
    if resources.nodes > 1:
        node, through = node_environment(rendezvous_here()), _on_every_node(resources)
        worker = Worker(folder, resources, gpus, manifest.directory, node, through)
    else:
        worker = Worker(folder, resources, gpus, manifest.directory)
    asked = False
    while not worker.has_ended():
        if halt.asked and not asked:
            worker.ask_to_stop()
            asked = True
        time.sleep(POLL_SECONDS) if asked else halt.wait(POLL_SECONDS)
    request = folder.request()
    return worker.conclude(request.attempts_before if request else 0)


def _on_every_node(resources: Resources) -> tuple[str, ...]:
    """Return the command that runs a worker on each node of the job, beside the step we are in."""
    nodes = [f"--nodes={resources.nodes}", f"--ntasks={resources.nodes}", "--ntasks-per-node=1"]
    cpus = f"--cpus-per-task={max(1, int(resources.cpus))}"
    return "srun", "--overlap", *nodes, cpus, "--kill-on-bad-exit=0"
