"""Workers on this machine: a pool of processes that shares out cores and graphics cards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestration.errors import ResourcesError
from orchestration.journal import TrialFolder
from orchestration.launch import Halt
from orchestration.launch.machine import available_cpus, chosen_gpus, require_fit
from orchestration.launch.worker import MOST_STARTS, Next, Worker
from orchestration.resources import Resources
from orchestration.runs import Runs
from orchestration.trial_description import Trial

POLL_SECONDS = 0.01
LOOK_SECONDS = 0.25
ELSEWHERE_SECONDS = 1.0
GRACE_SECONDS = 8.0
TOLERANCE = 1e-6


class LocalLauncher:
    """Runs trials on this machine.

    Args:
        cpus: cores to share out; None: all that this process may use.
        gpus: cards to share out; None: all that are visible.
        slots: how many trials at a time; None: as many as fit.
    """

    outlives_driver = False

    def __init__(self, cpus: float | None = None, gpus: int | None = None, slots: int | None = None) -> None:
        if slots is not None and slots < 1:
            raise ResourcesError(f"--slots {slots}: expected at least 1")
        self._cpus = float(cpus if cpus is not None else available_cpus())
        self._cards = chosen_gpus(gpus)
        self._slots = slots

    def check(self, trials: Sequence[Trial]) -> None:
        """Refuse trials that this machine can never run."""
        require_fit(trials, [(self._cpus, len(self._cards))], "this launcher")

    def run(self, trials: Sequence[Trial], runs: Runs, halt: Halt) -> dict[str, str]:
        """Run the trials; each starts as soon as what it needs is done and there is room."""
        pool = _Pool(trials, runs, _Room(self._cpus, self._cards, self._slots))
        try:
            while pool.is_busy() and not halt.asked:
                pool.reap()
                pool.start_what_fits()
                halt.wait(POLL_SECONDS)
            pool.ask_to_stop()
            deadline = time.monotonic() + GRACE_SECONDS
            while pool.running and time.monotonic() < deadline and not halt.forced:
                pool.reap()
                time.sleep(POLL_SECONDS)
        finally:
            pool.kill()
        return pool.given_up


@dataclass
class _Job:
    trial: Trial
    folder: TrialFolder
    attempts_before: int
    unmet: set[str]
    not_before: float = 0.0
    starts: int = 0


@dataclass(frozen=True)
class _Place:
    """What a running trial occupies."""

    resources: Resources
    cards: tuple[str, ...]


@dataclass
class _Room:
    """Free cores, cards and slots."""

    cpus: float
    cards: Sequence[str]
    slots: int | None
    _share_of_card: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self._share_of_card = dict.fromkeys(self.cards, 1.0)

    def is_full(self) -> bool:
        return self.cpus < TOLERANCE or self.slots == 0

    def take(self, resources: Resources) -> _Place | None:
        """Return a place for a trial, or None when there is no room now."""
        if self.slots == 0 or resources.cpus > self.cpus + TOLERANCE:
            return None
        share = min(resources.gpus, 1.0)
        # The fullest card that still has room: whole cards stay free for those who need whole ones.
        fitting = sorted((free, card) for card, free in self._share_of_card.items() if free > share - TOLERANCE)
        wanted = 0 if not share else max(1, round(resources.gpus))
        if len(fitting) < wanted:
            return None
        place = _Place(resources, tuple(card for _, card in fitting[:wanted]))
        self._change(place, -1)
        return place

    def give_back(self, place: _Place) -> None:
        self._change(place, 1)

    def _change(self, place: _Place, sign: int) -> None:
        self.cpus += sign * place.resources.cpus
        for card in place.cards:
            self._share_of_card[card] += sign * min(place.resources.gpus, 1.0)
        if self.slots is not None:
            self.slots += sign


class _Pool:
    """The trials of one launch: waiting for needs, for room, running, or ended."""

    def __init__(self, trials: Sequence[Trial], runs: Runs, room: _Room) -> None:
        self.running: dict[str, tuple[_Job, Worker, _Place]] = {}
        self.given_up: dict[str, str] = {}
        self._next_look = 0.0
        self._room = room
        self._ready: list[_Job] = []
        self._dependents: dict[str, list[_Job]] = {}
        launched = {trial.signature for trial in trials}
        for trial in trials:
            folder = runs.folder(trial.signature)
            request = folder.request()
            job = _Job(trial, folder, request.attempts_before if request else 0, set(trial.needs.values()) & launched)
            for need in job.unmet:
                self._dependents.setdefault(need, []).append(job)
            if not job.unmet:
                self._ready.append(job)

    def is_busy(self) -> bool:
        return bool(self.running or self._ready)

    def start_what_fits(self) -> None:
        """Start ready trials in order; one that does not fit does not keep smaller ones waiting."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        for job in list(self._ready):
            if self._room.is_full():
                return
            if job.not_before <= now:
                self._start(job, now)

    def reap(self) -> None:
        """Look after workers that have ended."""
        for signature, (job, worker, place) in list(self.running.items()):
            if worker.has_ended():
                del self.running[signature]
                self._next_look = 0.0
                self._room.give_back(place)
                self._follow_up(job, worker)

    def ask_to_stop(self) -> None:
        for _, worker, _ in self.running.values():
            worker.ask_to_stop()

    def kill(self) -> None:
        for _, worker, _ in self.running.values():
            worker.kill()
        self.reap()

    def _start(self, job: _Job, now: float) -> None:
        last = job.folder.last_attempt()
        if job.folder.is_done():
            self._ready.remove(job)
            self._release_dependents(job)
        elif (wish := job.folder.cancel_wish()) is not None:
            self._ready.remove(job)
            self.given_up[job.trial.signature] = wish.told
        elif last is not None and last.is_live():  # somebody else is at it
            job.not_before = now + ELSEWHERE_SECONDS
        elif (place := self._room.take(job.trial.resources)) is not None:
            self._ready.remove(job)
            job.starts += 1
            worker = Worker(job.folder, job.trial.resources, ",".join(place.cards))
            self.running[job.trial.signature] = (job, worker, place)

    def _follow_up(self, job: _Job, worker: Worker) -> None:
        step = worker.conclude(job.attempts_before)
        if step.next is Next.DONE:
            self._release_dependents(job)
        elif step.next is Next.GIVE_UP or job.starts >= MOST_STARTS:
            self.given_up[job.trial.signature] = step.reason or f"it did not finish in {job.starts} attempts"
        else:
            job.not_before = time.monotonic() + step.pause_seconds
            self._ready.insert(0, job)

    def _release_dependents(self, job: _Job) -> None:
        self._next_look = 0.0
        for dependent in self._dependents.get(job.trial.signature, []):
            dependent.unmet.discard(job.trial.signature)
            if not dependent.unmet:
                self._ready.append(dependent)
