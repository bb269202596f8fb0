"""A real MLflow server, as the dashboard command starts it."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.dashboard import Dashboard


@contextmanager
def served(dashboard: Dashboard, log_file: Path, *options: str) -> Iterator[str]:
    """Run a dashboard in a process group of its own until the block ends; yield its address."""
    with log_file.open("wb") as output:
        server = subprocess.Popen(
            [*dashboard.argv, *options],
            env={**os.environ, **dashboard.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = dashboard.url.partition("/#")[0]
        deadline = time.monotonic() + 120
        while not answers(f"{address}/health"):
            assert server.poll() is None, log_file.read_text()
            assert time.monotonic() < deadline, log_file.read_text()
            time.sleep(0.3)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def answers(address: str) -> bool:
    """Tell whether a page is there."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
