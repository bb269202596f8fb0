"""What the job runs: a Ray cluster over its nodes, our driver on it, and the end of both.

The cluster has a port, a folder and a token of its own, so that several jobs can share a node. Its processes are ended
as steps of this job; ``ray stop`` would end those of other jobs, too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from orchestration.distributed.node import free_port, routable_address
from orchestration.drivers import LOG_VARIABLE
from orchestration.errors import ExitCode, LaunchError
from orchestration.launch import Halt
from orchestration.launch.ray.cluster_folder import folder_of, held
from orchestration.launch.ray.job_folder import Job, Manifest
from orchestration.launch.ray.launcher import ENVIRONMENT, OBJECT_STORE_BYTES
from orchestration.launch.slurm.job import back_to_the_queue, halt_at_signals
from orchestration.slurm.command import slurm
from orchestration.slurm.current_job import current_job

HEAD_SECONDS = 180.0
"""The head may take so long to answer, and the other nodes again to join."""
POLL_SECONDS = 0.2
END_SECONDS = 30.0


def run(folder: str) -> None:
    """Run the driver of a submission; submitit calls this inside the job."""
    job = Job(Path(folder))
    halt = Halt()
    halt_at_signals(halt)
    try:
        with _cluster(job, halt) as address:
            code = _drive(job.manifest(), address, halt) if not halt.asked else ExitCode.RESUME_ME
    except LaunchError as error:
        with Path(job.manifest().log).open("a") as log:
            log.write(f"error: {error}\n")
        code = error.exit_code
    if halt.asked and code != ExitCode.DONE:
        back_to_the_queue(current_job())
        sys.exit(ExitCode.RESUME_ME)
    job.finish(code)
    sys.exit(code)


@contextlib.contextmanager
def _cluster(job: Job, halt: Halt) -> Iterator[str]:
    """Start a Ray cluster over the nodes of this job; yield its address."""
    manifest = job.manifest()
    nodes = slurm(["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]]).split()
    ip, port = routable_address(), free_port()
    folder = folder_of(job.folder.name[-6:])
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(24),
        "RAY_TMPDIR": str(folder),
    }
    os.environ.update(environment)
    share = [f"--num-cpus={manifest.cpus}", f"--num-gpus={manifest.gpus}", f"--temp-dir={folder}"]
    share += ["--disable-usage-stats", f"--object-store-memory={OBJECT_STORE_BYTES}"]
    steps: list[subprocess.Popen[bytes]] = []
    with held(folder):
        try:
            head = ["--head", f"--node-ip-address={ip}", f"--port={port}", "--include-dashboard=false"]
            steps.append(_step(job, nodes[:1], manifest, [*head, *share]))
            _wait(lambda: _answers(ip, port), steps, halt, f"the head of the Ray cluster, {ip}:{port},")
            if nodes[1:]:
                steps.append(_step(job, nodes[1:], manifest, [f"--address={ip}:{port}", *share]))
            _wait_for_nodes(f"{ip}:{port}", len(nodes), steps, halt)
            yield f"{ip}:{port}"
        finally:
            _end(steps)


def _step(job: Job, nodes: Sequence[str], manifest: Manifest, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a node of the Ray cluster on each of these nodes."""
    srun = ["srun", "--overlap", f"--nodes={len(nodes)}", f"--ntasks={len(nodes)}", "--ntasks-per-node=1"]
    srun += [f"--nodelist={','.join(nodes)}", f"--cpus-per-task={manifest.cpus}", "--open-mode=append"]
    srun += [f"--output={job.output / 'ray-%N.log'}", "--kill-on-bad-exit=0"]
    command = [*srun, sys.executable, "-m", "orchestration.launch.ray.cluster_node", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def _drive(manifest: Manifest, address: str, halt: Halt) -> int:
    """Run our driver on the cluster until it ends, and let it stop when the job has to."""
    with Path(manifest.log).open("ab") as log:
        driver = subprocess.Popen(
            [sys.executable, "-m", "orchestration.cli", *manifest.command, "--address", address],
            cwd=manifest.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, LOG_VARIABLE: manifest.log},
            start_new_session=True,
        )
    asked = False
    while driver.poll() is None:
        if halt.asked and not asked:
            driver.send_signal(signal.SIGINT)
            asked = True
        time.sleep(POLL_SECONDS)
    return driver.returncode if driver.returncode >= 0 else ExitCode.FAILED


def _wait_for_nodes(address: str, count: int, steps: Sequence[subprocess.Popen[bytes]], halt: Halt) -> None:
    import ray

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    for number, handler in handlers.items():  # ray.init installs its own
        signal.signal(number, handler)
    try:
        _wait(
            lambda: sum(node["Alive"] for node in ray.nodes()) == count, steps, halt, f"a Ray cluster of {count} nodes"
        )
    finally:
        ray.shutdown()


def _wait(look: Callable[[], bool], steps: Sequence[subprocess.Popen[bytes]], halt: Halt, what: str) -> None:
    deadline = time.monotonic() + HEAD_SECONDS
    while not look():
        if halt.asked:
            raise LaunchError("the job has to end")
        ended = [step.returncode for step in steps if step.poll() is not None]
        if ended or time.monotonic() > deadline:
            why = f"srun exited with {ended[0]}" if ended else f"not within {HEAD_SECONDS:.0f} s"
            raise LaunchError(f"{what} did not start ({why}); the ray-*.log files of this job tell more")
        time.sleep(POLL_SECONDS)


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _end(steps: Sequence[subprocess.Popen[bytes]]) -> None:
    """Close the standard input of every step, which ends it; SLURM ends what does not end."""
    for step in steps:
        assert step.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            step.stdin.close()
    deadline = time.monotonic() + END_SECONDS
    for step in steps:
        try:
            step.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            step.kill()
            step.wait()
