"""Answer requests, one line of JSON each, about the published program; started by :mod:`os2d.bench.against`.

``python -m bench.original_side CHECKOUT CASE THREADS``, with the checkout first on the path.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import torch

from ..clock import memory_peak_mb, time_call
from .shims import count_negatives_as_on_gpu, restore_libraries, suppressing_at_once


def main(checkout: Path, folder: Path, threads: int) -> None:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the program prints is no answer
    torch.set_num_threads(threads)
    restore_libraries()
    os2d = import_module("os2d")

    if not Path(str(os2d.__file__)).resolve().is_relative_to(checkout.resolve()):
        raise SystemExit(f"{checkout}: os2d was imported from {os2d.__file__} instead")
    count_negatives_as_on_gpu(import_module("os2d.engine.objective").Os2dObjective)
    _serve(folder, answers)


def _serve(folder: Path, answers: IO[str]) -> None:
    from .stages import STAGES, Case

    case = Case(folder)
    calls: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        stage = request["stage"]
        try:
            if stage not in calls:
                calls.clear()  # what an earlier stage holds would count as memory
                calls[stage] = STAGES[stage](case)
            answer = _answer(request["do"], calls[stage], case)
        except Exception:  # reported to the other side, which ends the comparison of this stage
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer, default=_as_number) + "\n")
        answers.flush()


def _as_number(value: Any) -> int | float:
    """Return a number of NumPy or torch as one of Python."""
    number: int | float = value.item()
    return number


def _answer(what: str, call: Callable[[], object], case: Any) -> dict[str, Any]:
    if what == "memory":
        return {"memory_mb": memory_peak_mb(call, case.device)}
    if what == "time":
        sample = time_call(call, case.device)
        return {"seconds": sample.seconds, "cpu_seconds": sample.cpu_seconds}
    with suppressing_at_once(import_module("os2d.structures.bounding_box").nms):
        return {"result": call()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
