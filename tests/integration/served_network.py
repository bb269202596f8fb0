"""``oneshot serve`` in a process of its own, with a small untrained network."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

from tests.unit.serving import write_small_network

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


@contextmanager
def oneshot_serve(folder, *options):
    """Give the address and the process of a server that is ready; end it by a signal as a container would."""
    import httpx

    weights = write_small_network(folder / "network")
    log = folder / "serve.log"
    command = [sys.executable, "-m", "orchestration.cli", "serve", "--model", str(weights), "--port", "0", *options]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 120
        while not (address := ADDRESS.search(log.read_text())) or not _is_ready(httpx, address[0]):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield address[0], server
        assert server.poll() is None, log.read_text()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)
    assert "Traceback" not in log.read_text(), log.read_text()


def _is_ready(httpx, address):
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False
