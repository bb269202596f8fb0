"""How far each trial has been written to a store, so that a sync without news costs next to nothing.

Losing the file is harmless: everything is written again, and writing a value twice changes nothing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from orchestration.curves import final_points
from orchestration.durable import make_folder, read_whole, to_json, write_whole
from orchestration.errors import JournalError
from orchestration.journal import TrialFolder
from orchestration.journal_records import MetricPoint

logger = logging.getLogger(__name__)

_VERSION = 2
_SYSTEM_SECONDS = (10, 60)
"""Load of the machine is written about this often within the first hour of a trial, and later."""


@dataclass(frozen=True)
class Mark:
    """What of one trial is in the store.

    Args:
        run_id: its run.
        started_ms: when its first attempt began.
        offset: bytes of the metrics file that were written.
        last_step: the highest step among them; -1 for none.
        names: the metrics among them, under our names.
        not_finite: those that had an infinite value.
        seen: how the folder looked then; a folder that looks the same has no news.
        described: whether parameters and configuration were written.
        system_offset: bytes of the file on the machine's load that were written.
        system_step: the last step among them, in seconds since the trial began; -1 for none.
    """

    run_id: str
    started_ms: int
    offset: int = 0
    last_step: int = -1
    names: tuple[str, ...] = ()
    not_finite: tuple[str, ...] = ()
    seen: tuple[str | int, ...] = ()
    described: bool = False
    system_offset: int = 0
    system_step: int = -1


def marks_file(runs_root: Path, tracking_uri: str) -> Path:
    """Return where the marks for one store are kept."""
    return runs_root / ".tracking" / f"{sha256(tracking_uri.encode()).hexdigest()[:12]}.json"


def read_marks(path: Path) -> dict[str, Mark]:
    """Return signature -> mark; none when the file is missing, damaged or of another version."""
    try:
        content = read_whole(path)
    except JournalError as error:
        logger.warning("%s; everything is written to the store again", error)
        return {}
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        return {}
    return {signature: _mark(fields) for signature, fields in content["trials"].items()}


def write_marks(path: Path, marks: dict[str, Mark], tracking_uri: str) -> None:
    """Replace the file."""
    make_folder(path.parent)
    content = {
        "version": _VERSION,
        "store": tracking_uri,
        "trials": {signature: vars(mark) for signature, mark in marks.items()},
    }
    write_whole(path, to_json(content), durable=False)


def news_since(mark: Mark, folder: TrialFolder) -> tuple[Mark, list[MetricPoint]]:
    """Return the points that are not in the store yet, and the mark for when they are."""
    fresh, offset = folder.metrics_from(mark.offset)
    if any(point.step <= mark.last_step for point in fresh):  # a resumed attempt repeats steps
        fresh, offset = folder.metrics_from(0)
    logged = [MetricPoint(name, math.nan, mark.last_step, 0) for name in mark.names] + fresh
    points = _last_of_each_step(fresh) + final_points(folder.result(), logged)
    names = tuple(dict.fromkeys([*mark.names, *(point.name for point in points)]))
    infinite = (point.name for point in points if math.isinf(point.value))
    return (
        replace(
            mark,
            offset=offset,
            last_step=max([mark.last_step, *(point.step for point in points)]),
            names=names,
            not_finite=tuple(dict.fromkeys([*mark.not_finite, *infinite])),
        ),
        points,
    )


def system_news_since(mark: Mark, folder: TrialFolder) -> tuple[Mark, list[MetricPoint]]:
    """Return the load of the machine that is not in the store yet, and the mark for when it is.

    A step is a second since the trial began. Of a long trial a part is enough: days of full detail would be more than
    everything else that it measured.
    """
    samples, offset = folder.samples_from(mark.system_offset)
    points: list[MetricPoint] = []
    last = mark.system_step
    for sample in samples:
        step = max(0, (sample.time_ms - mark.started_ms) // 1000)
        pause = _SYSTEM_SECONDS[0] // 2 if step < 3600 else _SYSTEM_SECONDS[1]
        if last < 0 or step - last >= pause:
            points += (MetricPoint(name, value, step, sample.time_ms) for name, value in sample.values.items())
            last = step
    return replace(mark, system_offset=offset, system_step=last), points


def _last_of_each_step(points: Iterable[MetricPoint]) -> list[MetricPoint]:
    """Return the last value of each metric at each step, with the time when it was first logged.

    MLflow stores a value once per time: a step repeated with the same value must come with the same time, and one
    repeated with another value with a later time, which then is the one that counts.
    """
    last: dict[tuple[str, int], MetricPoint] = {}
    for point in points:
        before = last.get((point.name, point.step))
        same = before is not None and (
            before.value == point.value or (math.isnan(before.value) and math.isnan(point.value))
        )
        if not same:
            last[point.name, point.step] = point
    return list(last.values())


def _mark(fields: dict[str, object]) -> Mark:
    return Mark(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})  # type: ignore[arg-type]
