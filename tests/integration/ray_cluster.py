"""A Ray cluster of several nodes on this machine, which tests may hurt: every node is ``ray start --block``.

It has a token, a port and a temporary folder of its own, so several can run side by side; nobody's files are touched.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest

from orchestration.distributed.node import free_port

START_SECONDS = 90
OBJECT_STORE_BYTES = 80_000_000
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_initial_delay_ms": "1000",  # a dead node is told within seconds instead of half a minute
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
}


class RayCluster:
    """A head and any number of further nodes; a context manager that ends them all.

    Args:
        cpus: cores that every node claims to have.
        nodes: how many, the head included.
        gpus: cards that every node claims to have.
        environment: further variables of the nodes, and so of everything that runs on them.
    """

    def __init__(self, cpus: int = 2, nodes: int = 2, gpus: int = 0, environment: dict[str, str] | None = None) -> None:
        self._resources = (f"--num-cpus={cpus}", f"--num-gpus={gpus}", f"--object-store-memory={OBJECT_STORE_BYTES}")
        self._size = nodes
        self._folder = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))  # short: it holds unix sockets
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.address = f"127.0.0.1:{free_port()}"
        self.token = secrets.token_hex(24)
        self.environment = {
            **SETTINGS,
            **(environment or {}),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_TMPDIR": str(self._folder),
        }
        """What a program needs in its environment to join the cluster."""

    def __enter__(self) -> Self:
        try:
            self.add_node()
            for _ in range(self._size - 1):
                self.add_node()
            self.wait_for_nodes(self._size)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_node(self) -> int:
        """Start one more node, the head when there is none; return its number."""
        host, port = self.address.split(":")
        is_head = not self._nodes
        place = ["--head", f"--port={port}", "--include-dashboard=false"] if is_head else [f"--address={self.address}"]
        log = self._folder / f"node{len(self._nodes)}.log"
        with log.open("wb") as output:
            node = subprocess.Popen(
                [
                    *(sys.executable, "-m", "ray.scripts.scripts", "start", *place, f"--node-ip-address={host}"),
                    *(f"--temp-dir={self._folder}", "--block", "--disable-usage-stats", *self._resources),
                ],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._nodes.append(node)
        if is_head:
            self._wait("the head", lambda: _answers(host, int(port)))
        return len(self._nodes) - 1

    def kill_node(self, number: int = -1) -> None:
        """Let a node vanish without a word: kill -9 of its raylet."""
        for process in self._processes(self._nodes[number]):
            if process.name() == "raylet":
                process.kill()

    def raylet_of(self, pid: int) -> int | None:
        """Return the number of the node that a process was started by, or None when no node did."""
        ancestors = {parent.pid for parent in psutil.Process(pid).parents()}
        for number, node in enumerate(self._nodes):
            if ancestors & {process.pid for process in self._processes(node)}:
                return number
        return None

    def wait_for_nodes(self, count: int) -> None:
        """Wait until so many nodes are up, and no more."""
        code = f"import ray; ray.init({self.address!r}, log_to_driver=False, logging_level='ERROR')\nimport time\n"
        code += f"while sum(node['Alive'] for node in ray.nodes()) != {count}: time.sleep(0.1)"
        environment = {**os.environ, **self.environment}
        command = [sys.executable, "-c", code]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=START_SECONDS)

    def close(self) -> None:
        """End every process of the cluster, and remove its folder."""
        doomed = [process for node in self._nodes for process in self._processes(node)]
        for process in doomed:
            try:
                process.kill()
            except psutil.NoSuchProcess:  # it ended between the look and the kill
                continue
        for node in self._nodes:
            node.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self, what: str, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not is_there():
            if time.monotonic() > deadline or self._nodes[-1].poll() is not None:
                log = self._folder / f"node{len(self._nodes) - 1}.log"
                pytest.fail(f"{what} of the Ray cluster did not start: {log.read_text(errors='replace')}")
            time.sleep(0.1)

    @staticmethod
    def _processes(node: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """Return the processes of a node. Those that lost their parent are found by the session they were born in."""
        found = {}
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == node.pid:
                    found[process.pid] = process
                    found |= {child.pid: child for child in process.children(recursive=True)}
            except (psutil.NoSuchProcess, ProcessLookupError):
                continue
        return list(found.values())


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


@pytest.fixture
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster of two nodes with two cores each, for one test."""
    pytest.importorskip("ray")
    with RayCluster() as cluster:
        yield cluster
