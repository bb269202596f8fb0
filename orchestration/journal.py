"""The trial folder, ``runs/<signature>/``: the truth about a trial, read and written here and nowhere else.

=====================  ==============================================================  ==================
``trial.json``         the frozen description                                          the first launcher
``request.json``       who wants it run, with which resources and neutral settings     the last launcher
``attempts/<n>/``      claim, provenance, stdout, stderr, outcome                      the n-th worker
``metrics.jsonl``      one line per logged step; the last value of a step wins         the worker
``events.jsonl``       what happened: resumed, asked to stop, ...                      the worker
``system.jsonl``       load of the machine, a line every few seconds                   the worker
``heartbeat``          sign of life and progress                                       the worker
``checkpoints/``       the last unnamed ones and the named ones                        the worker
``artifacts/``         files worth keeping                                             the worker
``aside/<n>/``         what a fresh start did not continue                             ``oneshot retry``
``cancel.json``        the wish of a person that it stops for good                     ``oneshot cancel``
``prune.json``         the wish of a scheduler that it stops for good                  a sweep
``perturbed.json``     settings that population based training changed                 a sweep
``result.json``        the final metrics; its presence *is* "done"                     the worker, once, last
=====================  ==============================================================  ==================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestration.attempt import Attempt, Held, attempt_folders, claim_next, last_attempt, now_ms
from orchestration.claim import Owner
from orchestration.durable import (
    create_whole,
    make_folder,
    named_failure,
    read_bytes,
    read_last_lines,
    read_lines,
    read_whole,
    to_json,
    write_whole,
)
from orchestration.ending import Ending, Outcome
from orchestration.errors import JournalError, NewerFormatError
from orchestration.journal_records import (
    Event,
    Heartbeat,
    MetricPoint,
    Perturbation,
    Request,
    Result,
    Sample,
    Wish,
)
from orchestration.resources import Resources
from orchestration.signature import flatten, is_neutral, nest
from orchestration.trial_description import Trial

FORMAT = 1
"""Of the folder; a version that reads folders of the one before, but not the other way round, has the next number."""


class TrialFolder:
    """The folder of one trial."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def artifacts(self) -> Path:
        """Files the task keeps."""
        return self.path / "artifacts"

    @property
    def checkpoints(self) -> Path:
        """What the task resumes from, and the named checkpoints it keeps."""
        return self.path / "checkpoints"

    @property
    def metrics_file(self) -> Path:
        """What the task logged, a line per step."""
        return self.path / "metrics.jsonl"

    @property
    def events_file(self) -> Path:
        """What happened, a line per event."""
        return self.path / "events.jsonl"

    @property
    def system_file(self) -> Path:
        """How busy the machine was, a line every few seconds."""
        return self.path / "system.jsonl"

    @property
    def attempts_folder(self) -> Path:
        """What each attempt left, a folder per number."""
        return self.path / "attempts"

    @property
    def signature(self) -> str:
        """The trial's signature; the folder is named after it."""
        return self.path.name

    @cached_property
    def trial(self) -> Trial:
        """The description as it was frozen."""
        path = self.path / "trial.json"
        fields = _require(read_whole(path), path)
        written = fields.pop("format", FORMAT)
        if written > FORMAT:
            raise NewerFormatError(
                f"{path}: a newer version of this program wrote it (format {written}; this one reads up to {FORMAT}); "
                "update this program, or choose another --runs folder"
            )
        return Trial.from_dict(fields)

    def trial_to_run(self) -> Trial:
        """Return the trial with the neutral settings and resources of the last request."""
        trial = self.trial
        request = self.request()
        if request is None:
            return trial
        neutral = is_neutral(trial.neutral_keys, "")
        kept = {key: value for key, value in flatten(trial.config).items() if not neutral(key)}
        perturbed = self.perturbation()
        config = nest({**kept, **request.settings, **(perturbed.settings if perturbed else {})})
        return replace(trial, config=config, resources=request.resources)

    @classmethod
    def create(cls, path: Path, trial: Trial) -> bool:
        """Freeze the description of a trial in its folder, unless there is one already; tell which it was."""
        make_folder(path)
        return create_whole(path / "trial.json", to_json({"format": FORMAT, **trial.as_dict()}, indent=1))

    def needs(self) -> Mapping[str, str]:
        """Return input -> signature of what the trial needs; nothing for one that was never launched.

        That it needs nothing is seen without parsing the configuration: no text of JSON holds a line break, so that a
        whole line with one space before it is a field of the description.
        """
        content = read_bytes(f"{self.path}/trial.json")
        if content is None:
            return {}
        is_known = b'\n "format": ' not in content or b'\n "format": %d,\n' % FORMAT in content
        return {} if is_known and b'\n "needs": {},\n' in content else self.trial.needs

    def exists(self) -> bool:
        """Tell whether the trial was ever launched from this journal."""
        return (self.path / "trial.json").exists()

    def metrics(self) -> list[MetricPoint]:
        """Return the value of every metric at every step, ordered by step; the last value of a step wins."""
        points: dict[tuple[str, int], MetricPoint] = {}
        for point in self.metrics_from(0)[0]:
            first = points.get((point.name, point.step), point)
            points[point.name, point.step] = point._replace(time_ms=first.time_ms)
        return sorted(points.values(), key=lambda point: point.step)

    def metrics_from(self, offset: int) -> tuple[list[MetricPoint], int]:
        """Return what was logged behind a byte offset, in the order of logging, and the next offset.

        A file in which no line ends there was started afresh, and is returned from its beginning.
        """
        records, end = read_lines(self.metrics_file, _start(self.metrics_file, offset))
        return [
            MetricPoint(name, float(value), record["step"], record["time_ms"])
            for record in records
            for name, value in record["metrics"].items()
        ], end

    def newest(self, metric: str | None = None) -> MetricPoint | None:
        """Return the value that was logged last, of this metric or of any; of a long file only the end is read."""
        for record in read_last_lines(self.metrics_file):
            for name, value in reversed(record["metrics"].items()):
                if metric in (None, name):
                    return MetricPoint(name, float(value), record["step"], record["time_ms"])
        return None

    def samples_from(self, offset: int) -> tuple[list[Sample], int]:
        """Return the load of the machine as written behind a byte offset, and the next offset."""
        records, end = read_lines(self.system_file, _start(self.system_file, offset))
        return [Sample(record["time_ms"], record["attempt"], record["values"]) for record in records], end

    def events(self) -> list[Event]:
        """Return what happened, oldest first."""
        return [
            Event(
                kind=record.pop("kind"),
                time_ms=record.pop("time_ms"),
                attempt=record.pop("attempt"),
                details=record,
            )
            for record in read_lines(self.events_file)[0]
        ]

    def attempts(self) -> list[Attempt]:
        """Return the attempts, oldest first."""
        found = (Attempt.read(folder) for folder in attempt_folders(self.attempts_folder))
        return [self._with_result(attempt) for attempt in found if attempt is not None]

    def last_attempt(self) -> Attempt | None:
        """Return the newest attempt."""
        last = last_attempt(self.attempts_folder)
        return self._with_result(last) if last is not None else None

    def result(self) -> Result | None:
        """Return the final metrics of a trial that is done."""
        fields = read_whole(self.path / "result.json")
        return Result(**fields) if fields else None

    def heartbeat(self) -> Heartbeat | None:
        """Return the last sign of life of any attempt."""
        fields = read_whole(self.path / "heartbeat", durable=False)
        return Heartbeat(**fields) if fields else None

    def request(self) -> Request | None:
        """Return what the last launcher wanted."""
        fields = self.request_fields()
        if fields is None:
            return None
        launcher = Owner.from_dict(fields["launcher"]) if fields["launcher"] else None
        return Request(**{**fields, "launcher": launcher, "resources": Resources(**fields["resources"])})

    def request_fields(self) -> dict[str, Any] | None:
        """Return the request as it is written, which is faster where thousands are looked at."""
        fields: dict[str, Any] | None = read_whole(f"{self.path}/request.json", durable=False)
        return fields

    def ask(self, request: Request) -> None:
        """Tell the worker and every reader what is wanted of the trial."""
        launcher = vars(request.launcher) if request.launcher else None
        fields = {**vars(request), "launcher": launcher, "resources": vars(request.resources)}
        write_whole(self.path / "request.json", to_json(fields), durable=False)

    def note_job(self, job: str) -> None:
        """Tell every reader which job of the cluster's scheduler runs the trial."""
        fields = self.request_fields()
        if fields is None:
            raise JournalError(f"{self.path}: nobody asked for this trial, so no job can be noted for it")
        write_whole(self.path / "request.json", to_json({**fields, "job": job}), durable=False)

    def cancel(self, by: str) -> None:
        """Wish that the trial ends for good: its worker saves and stops, and nobody starts another one."""
        self._wish("cancel.json", by)

    def prune(self, reason: str) -> None:
        """Wish, as the scheduler of a sweep, that the trial ends for good."""
        self._wish("prune.json", reason)

    def wish(self) -> Wish | None:
        """Return the wish that the trial ends; a person's counts before a scheduler's."""
        return self.cancel_wish() or self.prune_wish()

    def cancel_wish(self) -> Wish | None:
        """Return the wish of a person that the trial ends."""
        return self._read_wish("cancel.json", Outcome.CANCELLED)

    def prune_wish(self) -> Wish | None:
        """Return the wish of a scheduler that the trial ends."""
        return self._read_wish("prune.json", Outcome.PRUNED)

    def forget_wishes(self) -> None:
        """Let the trial run again."""
        for name in ("cancel.json", "prune.json"):
            with named_failure(self.path / name):
                (self.path / name).unlink(missing_ok=True)

    def perturb(self, perturbation: Perturbation) -> None:
        """Let the next worker go on from a copy that lies among the checkpoints, with other settings."""
        write_whole(self.path / "perturbed.json", to_json(vars(perturbation), indent=1))

    def perturbation(self) -> Perturbation | None:
        """Return the last change of a member of a population."""
        fields = read_whole(self.path / "perturbed.json")
        return Perturbation(**fields) if fields else None

    def put_aside(self) -> Path | None:
        """Let the next attempt start afresh: move what the earlier ones left behind to ``aside/<n>``, and return that.

        Attempts and events stay: they are the history. None when there was nothing to move.
        """
        left = [self.checkpoints, self.metrics_file, self.system_file, self.artifacts, self.path / "heartbeat"]
        left = [path for path in left if path.exists()]
        if not left:
            return None
        aside = self.path / "aside"
        make_folder(aside)
        place = aside / str(1 + max((int(path.name) for path in aside.iterdir() if path.name.isdigit()), default=0))
        make_folder(place)
        with named_failure(place):
            for path in left:
                path.rename(place / path.name)
        return place

    def file_names(self) -> frozenset[str]:
        """Return what is in the folder: one question instead of one per file."""
        try:
            return frozenset(os.listdir(self.path))  # noqa: PTH208 - a Path per name costs more than all the rest
        except FileNotFoundError:
            return frozenset()

    def is_done(self) -> bool:
        """Tell whether there is a result."""
        return os.path.exists(f"{self.path}/result.json")  # noqa: PTH110 - asked of thousands

    def claim(self) -> Attempt | Held:
        """Claim the next attempt for this process, unless a live worker holds the trial."""
        return claim_next(self.attempts_folder)

    def finish(self, metrics: Mapping[str, float], attempt: int) -> None:
        """Write the result; from now on the trial is done."""
        fields = {"metrics": dict(metrics), "finished_ms": now_ms(), "attempt": attempt}
        create_whole(self.path / "result.json", to_json(fields, indent=1))

    def beat(self, heartbeat: Heartbeat) -> None:
        """Replace the sign of life."""
        write_whole(self.path / "heartbeat", to_json(vars(heartbeat)), durable=False)

    def _wish(self, name: str, why: str) -> None:
        write_whole(self.path / name, to_json({"why": why, "time_ms": now_ms()}))

    def _with_result(self, attempt: Attempt) -> Attempt:
        """Return the attempt, which was fine when the result is its own: it may have died before it could say so."""
        if attempt.outcome is Outcome.OK or not self.is_done():
            return attempt
        result = self.result()
        if result is None or result.attempt != attempt.number:
            return attempt
        return replace(attempt, ending=Ending(Outcome.OK, result.finished_ms, exit_code=0))

    def _read_wish(self, name: str, outcome: Outcome) -> Wish | None:
        fields = read_whole(self.path / name)
        return Wish(**fields, outcome=outcome) if fields else None


def _start(path: Path, offset: int) -> int:
    """Return where to read on: at the offset, or at 0 when that is not behind a line of the file."""
    if offset == 0:
        return 0
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset - 1)
            return offset if file.read(1) == b"\n" else 0
    except FileNotFoundError:
        return 0


def _require(fields: Any | None, path: Path) -> Any:
    if fields is None:
        raise JournalError(f"{path}: there is no such file; this is not the folder of a trial")
    return fields
