"""Chromium without a window and without a network, driven over its debugging pipe: real clicks, real errors."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # root, in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-first-run",
    "--hide-scrollbars",
    "--window-size=1200,900",
    "--remote-debugging-pipe",
)
UNLIMITED = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
ANSWER_SECONDS = 120.0
CLOSE_SECONDS = 10.0
Place = tuple[float, float]
"""Pixels of the window, to the right and down."""
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
_FIRST_FREE = 20


def browser_program() -> str | None:
    """Return a browser of this machine that can be driven."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One tab of one browser; ``errors`` and ``requests`` are what happened in it so far."""

    def __init__(self, program: str, profile: Path) -> None:
        their_input, self._output = (_high(fd) for fd in os.pipe())
        self._input, their_output = (_high(fd) for fd in os.pipe())
        redirected = f'exec "$@" 3<&{their_input} 4>&{their_output}'  # the descriptors that Chromium expects
        self._process = subprocess.Popen(
            ["bash", "-c", redirected, "bash", program, *SWITCHES, f"--user-data-dir={profile}"],
            pass_fds=(their_input, their_output),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_input)
        os.close(their_output)
        self._numbers = itertools.count(1)
        self._unread = b""
        self._session = ""
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loaded = 0

    def __enter__(self) -> Self:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Network.emulateNetworkConditions", offline=True, **UNLIMITED)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._send("Browser.close", {})  # by itself it removes what it has put among the temporary files
            self._process.wait(CLOSE_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._input)
        os.close(self._output)

    def reach_this_machine(self) -> None:
        """Switch the network on as far as to servers of this machine: no name is resolved."""
        self.call("Network.emulateNetworkConditions", offline=False, **UNLIMITED)

    def open(self, page: Path | str) -> None:
        """Show a file or an address and wait until it is loaded."""
        before = self._loaded
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._loaded == before:
            self._take(self._message(deadline))

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression gives, once what it promises is there."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def click(self, element: str) -> None:
        """Click on the middle of the element that a JavaScript expression gives."""
        self.value(f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        self.click_at(*self.value(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({element}.getBoundingClientRect())"))

    def click_at(self, x: float, y: float) -> None:
        """Click on a place of the window."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self._drawn()

    def drag(self, start: Place, end: Place) -> None:
        """Press the mouse at a place of the window, move it to another in steps, and let go."""
        steps = _between(start, end)
        moves = [("mouseMoved", start), ("mousePressed", start), *(("mouseMoved", at) for at in steps)]
        for kind, (x, y) in [*moves, ("mouseReleased", end)]:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
        self._drawn()

    def swipe(self, start: Place, end: Place) -> None:
        """Put a finger on a place of the window, move it to another in steps, and lift it."""
        steps = _between(start, end)
        for kind, at in [("touchStart", [start]), *(("touchMove", [one]) for one in steps), ("touchEnd", [])]:
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in at])
        self._drawn()

    def drop(self, files: Sequence[Path], place: Place) -> None:
        """Let go of files over a place of the window."""
        carried = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=place[0], y=place[1], data=carried)
        self._drawn()

    def choose(self, element: str, files: Sequence[Path]) -> None:
        """Answer the dialog of the file input that a JavaScript expression gives."""
        told = self.call("Runtime.evaluate", expression=element)
        self.call("DOM.setFileInputFiles", files=[str(file) for file in files], objectId=told["result"]["objectId"])

    def press(self, key: str, shift: bool = False) -> None:
        """Press a key that has a name, such as Tab or ArrowLeft."""
        named = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 if shift else 0}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **named, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def write(self, text: str) -> None:
        """Type into what has the focus, over what is selected there."""
        self.call("Input.insertText", text=text)

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"not in {ANSWER_SECONDS:g} s: {condition}; errors: {self.errors}"
            time.sleep(0.05)

    def screenshot(self, path: Path) -> None:
        """Write a picture of the whole page."""
        told = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the answer to a command of the Chrome DevTools Protocol."""
        number = self._send(method, params, self._session)
        deadline = time.monotonic() + ANSWER_SECONDS
        while (message := self._message(deadline)).get("id") != number:
            self._take(message)
        assert "error" not in message, f"{method}: {message['error']}"
        return message["result"]

    def _send(self, method: str, params: dict[str, Any], session: str = "") -> int:
        """Send a command to a tab, or to the browser itself; return the number of the answer to come."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._output, json.dumps(command).encode() + b"\0")
        return number

    def _drawn(self) -> None:
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def _take(self, message: dict[str, Any]) -> None:
        """Remember an event."""
        params = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded += 1
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.errors.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(params["entry"]["text"])

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._input], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"the browser has not answered for {ANSWER_SECONDS:g} s"
            news = os.read(self._input, 1 << 20)
            assert news, "the browser has ended"
            self._unread += news
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)


def _high(descriptor: int) -> int:
    """Return a copy of a descriptor that is none of those which the browser gets, in place of it."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    os.close(descriptor)
    return copy


def _between(start: Place, end: Place) -> list[Place]:
    """Return places on the way, both ends among them."""
    return [(start[0] + (end[0] - start[0]) * k / 6, start[1] + (end[1] - start[1]) * k / 6) for k in range(7)]
