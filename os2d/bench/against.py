"""The published program, run beside ours from a user's own checkout.

It lives in a process of its own, because its package has the name of ours, and works when it is told to: that way both
programs take turns on a machine whose speed changes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from os2d.bench.clock import Sample
from os2d.errors import Os2dError

PACKAGE = "bench.original_side"


class OriginalError(Os2dError):
    """The published program cannot be run, or failed."""


class Original:
    """The process; a context manager.

    Args:
        checkout: the folder that holds the program's ``os2d``.
        case: folder written by :meth:`os2d.bench.case.Case.write`.
        threads: of torch.

    Raises:
        OriginalError: the folder holds no such program.
    """

    def __init__(self, checkout: Path, case: Path, threads: int) -> None:
        self.checkout = checkout.expanduser().absolute()
        if not (self.checkout / "os2d" / "engine" / "evaluate.py").is_file():
            raise OriginalError(
                f"{checkout}: no checkout of the published OS2D (os2d/engine/evaluate.py is missing); clone "
                "https://github.com/aosokin/os2d and pass that folder"
            )
        self._log = case / "original.log"
        ours = Path(__file__).resolve().parents[1]
        # The checkout comes first: ``os2d`` is its package, and ``bench`` is ours under a name it does not have.
        path = os.pathsep.join([str(self.checkout), str(ours)])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "MPLBACKEND": "agg"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", PACKAGE, str(self.checkout), str(case), str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
                cwd=case,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # it ended by itself, which was reported then
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def time(self, stage: str) -> Sample:
        """Return how long the stage takes once."""
        answer = self._ask("time", stage)
        return Sample(answer["seconds"], answer["cpu_seconds"])

    def memory_peak_mb(self, stage: str) -> float:
        """Return by how much the memory of the process grows during the stage."""
        return float(self._ask("memory", stage)["memory_mb"])

    def result(self, stage: str) -> Any:
        """Return what the stage finds, as plain values."""
        return self._ask("result", stage)["result"]

    def _ask(self, what: str, stage: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, "stage": stage}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise OriginalError(f"{self.checkout}: the published program ended by itself:\n{self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise OriginalError(f"{self.checkout}: the published program failed in {stage}:\n{answer['error']}")
        return answer

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
