"""What holds for every trial folder, wherever a power failure cut what was being written.

Such a failure loses what was not synced: the files of lines end at any byte behind the last sync, and a file that was
written whole without waiting for the disk is empty, or full of zeros, or left under its temporary name. The machine
below does to a folder what a trial and such failures do, and compares every reader with a list in memory. Then a task
is interrupted in the same way, resumed until it is done, and compared with one that was left alone.
"""

import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestration.checkpoints import KEPT, PLAIN_STATE
from orchestration.describe import Experiment
from orchestration.durable import read_last_lines, read_lines
from orchestration.journal_records import Heartbeat, State
from orchestration.plan import plan
from orchestration.runs import Runs
from orchestration.stop import StopRequest
from orchestration.trial_run import TrialRun
from orchestration.trial_state import state_of
from tests.integration.counting_task import task

TRIAL = plan([Experiment("e", "tests.integration.counting_task:task")]).trials[0]

names = st.sampled_from(["loss", "mAP@0.50", "é\u2028", 'a\rb\n"{'])
shares = st.floats(0, 1)  # of the bytes that a power failure may take
leftovers = st.sampled_from([b"", b"\0" * 7])


class Disk:
    """Remembers which bytes are safe: those that were there when somebody waited for the disk."""

    def __init__(self):
        self._safe = {}  # inode -> size and time of change when it was synced
        self._fsync = os.fsync

    def fsync(self, descriptor):
        self._fsync(descriptor)
        status = os.fstat(descriptor)
        self._safe[status.st_ino] = (status.st_size, status.st_mtime_ns)

    def safe_bytes(self, path):
        return self._safe.get(path.stat().st_ino, (0, 0))[0]

    def is_safe(self, path):
        status = path.stat()
        return self._safe.get(status.st_ino) == (status.st_size, status.st_mtime_ns)


class Lines:
    """What a file of lines has to say."""

    def __init__(self, path):
        self._path = path
        self._written = []  # where a record ends in the file, and the record
        self._without_end = None  # the same of a last line that lacks nothing but its end: a writer gives it one

    @property
    def records(self):
        return [record for _, record in self._written]

    @property
    def ends(self):
        return [end for end, _ in self._written]

    def wrote(self, record):
        if self._without_end is not None:
            self._written.append(self._without_end)
            self._without_end = None
        self._written.append((self._path.stat().st_size, record))

    def cut(self, share, disk):
        """Lose a share of the bytes that are not safe."""
        if not self._path.exists():
            return
        size, safe = self._path.stat().st_size, disk.safe_bytes(self._path)
        end = size - round(share * (size - safe))
        os.truncate(self._path, end)
        known = [*self._written, *([self._without_end] if self._without_end else [])]
        self._written = [one for one in known if one[0] <= end]
        self._without_end = next((one for one in known if one[0] == end + 1), None)


class FolderUnderFailures(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="journal-"))
        self.disk = Disk()
        self.patch = mock.patch("os.fsync", self.disk.fsync)
        self.patch.start()
        runs = Runs(self.root / "runs")
        self.folder = runs.create(TRIAL)
        runs.ask(TRIAL, [])
        self.metrics, self.events = Lines(self.folder.metrics_file), Lines(self.folder.events_file)
        self.checkpoints = {}
        self.beat = self.result = None
        self.attempt = 0
        self.start()

    def teardown(self):
        self.patch.stop()
        shutil.rmtree(self.root)

    def start(self):
        """Let the next worker begin: it reads nothing but the folder."""
        self.attempt += 1
        attempt = SimpleNamespace(number=self.attempt, is_overtaken=lambda: False)
        self.run = TrialRun(self.folder, TRIAL, attempt, SimpleNamespace(step=0, total=0), StopRequest())
        self.followed, self.offset, self.has_logged = [], 0, False
        state = self.run.resume()
        assert state == (self.checkpoints[max(self.checkpoints)] if self.checkpoints else None)
        if state is not None:
            self.events.wrote(("resumed", {"step": max(self.checkpoints)}))
        assert not list(self.folder.checkpoints.glob(".*")), "the next worker removes what half-written ones left"

    @rule(values=st.dictionaries(names, st.floats(), max_size=3), step=st.integers(0, 4))
    def log(self, values, step):
        self.run.log(values, step)
        self.has_logged = True
        self.metrics.wrote((step, list(values.items())))

    @rule(step=st.integers(0, 6), value=st.floats(allow_nan=False))
    def save(self, step, value):
        self.run.save({"value": value}, step)
        self.checkpoints[step] = {"value": value}
        self.checkpoints = dict(sorted(self.checkpoints.items())[-KEPT:])
        metrics = self.folder.metrics_file
        if self.has_logged:
            assert self.disk.safe_bytes(metrics) == metrics.stat().st_size, "what was logged before it is on the disk"

    @rule(kind=names)
    def tell(self, kind):
        self.run.event(kind, why=kind)
        self.events.wrote((kind, {"why": kind}))

    @rule(step=st.integers(0, 9))
    def live(self, step):
        self.beat = Heartbeat(1.5, self.attempt, "host", 7, step, 9)
        self.folder.beat(self.beat)

    @rule(value=st.floats())
    def finish(self, value):
        self.folder.finish({"value": value}, self.attempt)
        self.result = self.result or (repr({"value": value}), self.attempt)

    @rule(metrics=shares, events=shares, left=leftovers)
    def lose_power(self, metrics, events, left):
        self.metrics.cut(metrics, self.disk)
        self.events.cut(events, self.disk)
        for path in [*self.folder.path.iterdir(), *self.folder.checkpoints.glob("*")]:
            if path.is_file() and path.suffix != ".jsonl" and path.name[0] != "." and not self.disk.is_safe(path):
                path.write_bytes(left)
                assert path.name in ("heartbeat", "request.json"), "everything else is on the disk before it is seen"
                self.beat = None if path.name == "heartbeat" else self.beat
        for half in (f".heartbeat.{os.urandom(4).hex()}", f"checkpoints/.{PLAIN_STATE}.{os.urandom(4).hex()}"):
            (self.folder.path / half).parent.mkdir(exist_ok=True)
            (self.folder.path / half).write_bytes(left)
        self.start()

    @invariant()
    def metrics_are_those_that_were_logged(self):
        logged = [(name, repr(value), step) for step, values in self.metrics.records for name, value in values]
        points, end = self.folder.metrics_from(0)
        assert seen(points) == logged
        assert [p.time_ms for p in points] == sorted(p.time_ms for p in points)
        last = {(name, step): value for name, value, step in logged}
        assert sorted(seen(self.folder.metrics())) == sorted(
            (name, value, step) for (name, step), value in last.items()
        )
        assert [p.step for p in self.folder.metrics()] == sorted(step for _, step in last)
        newest = self.folder.newest()
        assert (seen([newest]) if newest else []) == logged[-1:]
        for number, place in enumerate([0, *self.metrics.ends]):
            rest = [(n, repr(v), step) for step, vs in self.metrics.records[number:] for n, v in vs]
            assert seen(self.folder.metrics_from(place)[0]) == rest
        assert seen(self.folder.metrics_from(end + 1)[0]) == logged, "no line ends there: the file is another one"

    @invariant()
    def a_follower_sees_everything_once(self):
        points, self.offset = self.folder.metrics_from(self.offset)
        self.followed += points
        assert seen(self.followed) == seen(self.folder.metrics_from(0)[0])

    @invariant()
    def events_are_those_that_were_told(self):
        assert [(event.kind, event.details) for event in self.folder.events()] == self.events.records
        backwards = list(read_last_lines(self.folder.events_file))
        assert backwards == read_lines(self.folder.events_file)[0][::-1]

    @invariant()
    def whole_files_are_the_last_ones_or_lost(self):
        assert self.folder.heartbeat() == self.beat
        result = self.folder.result()
        assert self.result == (result and (repr(result.metrics), result.attempt))
        assert (state_of(self.folder) is State.DONE) == (self.result is not None)
        assert self.folder.trial == TRIAL
        assert self.folder.trial_to_run() == TRIAL


def seen(points):
    return [(point.name, repr(point.value), point.step) for point in points]


TestFolderUnderFailures = FolderUnderFailures.TestCase
TestFolderUnderFailures.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)


class PowerFailure(BaseException):
    pass


class InterruptedRun(TrialRun):
    """Fails after so many things that it wrote."""

    lifetime = 10**6

    def log(self, metrics, step):
        self._live()
        super().log(metrics, step)

    def save(self, state, step, name=None):
        self._live()
        return super().save(state, step, name)

    def _live(self):
        self.lifetime -= 1
        if self.lifetime < 0:
            raise PowerFailure


CONFIG = {**task.default_config(), "steps": 12, "save_every": 3}


def attempt_at(folder, number, lifetime):
    attempt = SimpleNamespace(number=number, is_overtaken=lambda: False)
    run = InterruptedRun(folder, TRIAL, attempt, SimpleNamespace(step=0, total=0), StopRequest())
    run.lifetime = lifetime
    folder.finish(task(CONFIG, run), number)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The folder of the same trial, left alone."""
    folder = Runs(tmp_path_factory.mktemp("calm")).create(TRIAL)
    attempt_at(folder, 1, 10**6)
    return folder


failures = st.lists(st.tuples(st.integers(0, 16), shares, st.none() | shares), max_size=4)


@settings(max_examples=30, deadline=None)
@given(failures)
def test_a_trial_that_was_interrupted_anywhere_ends_like_one_that_was_not(calm, tmp_path_factory, failures):
    """A share of the unsynced metrics is lost each time, and some of the newest checkpoint where the disk is bad."""
    disk, folder = Disk(), Runs(tmp_path_factory.mktemp("interrupted")).create(TRIAL)
    metrics = Lines(folder.metrics_file)
    with mock.patch("os.fsync", disk.fsync):
        for number, (lifetime, share, damage) in enumerate(failures, 1):
            try:
                attempt_at(folder, number, lifetime)
            except PowerFailure:
                metrics.cut(share, disk)
            else:
                break
            for newest in sorted(folder.checkpoints.glob("step_*.pth"))[-1:]:
                if damage is not None:
                    os.truncate(newest, int(damage * newest.stat().st_size * 0.999))
        if not folder.is_done():
            attempt_at(folder, len(failures) + 1, 10**6)
    assert seen(folder.metrics()) == seen(calm.metrics())
    assert folder.result().metrics == calm.result().metrics
