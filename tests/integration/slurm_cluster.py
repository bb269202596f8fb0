"""Real SLURM clusters for tests: ``slurm_cluster.sh`` started once per session and purged at its end.

A test asks for the fixture ``slurm_cluster`` (three nodes, two cores and two pretended cards each, accounting), or
calls ``cluster(...)`` for one that differs. ``conftest.py`` beside this file makes both known.
"""

import contextlib
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("slurm_cluster.sh")
PORTS = range(20000, 26500, 20)
"""Clusters of tests; a developer's own default lies behind them."""
COMMAND_SECONDS = 60


@dataclass(frozen=True)
class SlurmCluster:
    """A cluster that runs."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with the cluster in it, for subprocesses."""
        return {**os.environ, "SLURM_CONF": str(self.folder / "etc" / "slurm.conf")}

    def command(self, *arguments: str, check: bool = True) -> str:
        """Run a SLURM command; return what it printed."""
        done = subprocess.run(
            arguments, env=self.environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
        if check and done.returncode != 0:
            pytest.fail(f"{' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def jobs(self, form: str = "%i %T %r") -> list[str]:
        """Return the jobs that are queued or running, one line per array element."""
        return self.command("squeue", "-h", "-r", "-o", form).splitlines()

    def state(self, job: str) -> str:
        """Return what the controller says of a job or array element: PENDING, RUNNING, COMPLETED, ..."""
        found = re.search(r"JobState=(\S+)", self.command("scontrol", "show", "job", job, check=False))
        return found.group(1) if found else ""

    def wait_until(self, condition: Callable[[], object], seconds: float = 120, what: str = "") -> None:
        """Wait until a condition holds; fail the test with the queue and the nodes when it never does."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                queue = self.command("squeue", "-r", check=False) + self.command("sinfo", "-N", check=False)
                pytest.fail(f"{what or 'the condition'} did not come true within {seconds} s:\n{queue}")
            time.sleep(0.2)

    def cancel_everything(self) -> None:
        """Leave an empty queue to the next test."""
        self.command("scancel", "--state=PENDING", check=False)
        self.command("scancel", "--state=RUNNING", check=False)
        self.wait_until(lambda: not self.jobs(), what="an empty queue")

    def slurmd(self, node: str) -> int:
        """Return the process of a node's daemon."""
        return int((self.folder / "run" / f"slurmd.{node}.pid").read_text())

    def start_node(self, node: str) -> None:
        """Start the daemon of a node again after it was killed."""
        self.command("slurmd", "-N", node)
        self.wait_until(
            lambda: self.command("sinfo", "-h", "-n", node, "-p", "debug", "-o", "%T").strip() in ("idle", "mixed"),
            what=f"node {node} back",
        )


@contextlib.contextmanager
def cluster(
    nodes: int = 3,
    cpus: int = 2,
    mem: int = 4000,
    gpus: int = 2,
    accounting: bool = True,
    preempt_signal: bool = False,
    max_array: int = 1001,
) -> Iterator[SlurmCluster]:
    """Start a cluster and purge it, also after a failure; skip the test where there can be none."""
    options = ["--nodes", str(nodes), "--cpus", str(cpus), "--mem", str(mem), "--gpus", str(gpus)]
    options += ["--max-array", str(max_array)]
    options += [] if accounting else ["--no-accounting"]
    options += ["--preempt-signal"] if preempt_signal else []
    require_slurm(options)
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # sockets need a short path
    try:
        _start(folder, options)
        yield SlurmCluster(folder)
    finally:
        subprocess.run([SCRIPT, "purge", folder], check=False, capture_output=True, timeout=COMMAND_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def require_slurm(options: list[str]) -> None:
    """Skip the test, with the reason, unless this machine can run a cluster."""
    if os.getuid() != 0:
        pytest.skip("a SLURM cluster of our own needs root")
    if shutil.which("dpkg-query") is None:
        pytest.skip("a SLURM cluster of our own needs Debian's packages (there is no dpkg-query)")
    missing = subprocess.run([SCRIPT, "packages", *options], check=False, capture_output=True, text=True)
    if missing.returncode != 0:
        pytest.skip(f"a SLURM cluster of our own needs the packages {missing.stdout.strip() or missing.stderr.strip()}")


def _start(folder: Path, options: list[str]) -> None:
    complaint = ""
    for port in random.SystemRandom().sample(PORTS, 5):  # a port taken meanwhile: somewhere else
        started = subprocess.run(
            [SCRIPT, "start", folder, "--port", str(port), *options], check=False, capture_output=True, text=True
        )
        if started.returncode == 0:
            return
        complaint = started.stderr.strip()
        if " is taken" not in complaint:
            break
    if " is taken" in complaint:
        pytest.skip(f"no free ports for a SLURM cluster: {complaint}")
    pytest.fail(f"the SLURM cluster did not start: {complaint}")


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[SlurmCluster]:
    """A cluster with accounting, three nodes of two cores and two pretended cards; one for all tests of a session."""
    with cluster() as started:
        yield started
