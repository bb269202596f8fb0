"""Show a page in a browser as soon as its server answers: ``python -m orchestration.open_page URL``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import webbrowser
from urllib.parse import urlsplit

LONGEST_WAIT_SECONDS = 120.0
_PAUSE_SECONDS = 0.3


def has_display() -> bool:
    """Tell whether a browser would have a screen to appear on."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_when_ready(url: str) -> subprocess.Popen[bytes]:
    """Leave a process behind that waits for the server and opens the page; this one may become the server."""
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration.open_page", url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(url: str, seconds: float) -> bool:
    """Return whether the server of an address takes connections within some seconds."""
    parts = urlsplit(url)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80), timeout=1).close()
            return True
        except OSError:
            time.sleep(_PAUSE_SECONDS)
    return False


if __name__ == "__main__":
    if wait_for(sys.argv[1], LONGEST_WAIT_SECONDS):
        webbrowser.open(sys.argv[1])
