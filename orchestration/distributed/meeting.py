"""What the processes of one attempt tell each other: torch's key-value store, served by the first node's supervisor.

Every key is written once, or only grows, so that readers never see a state that was taken back. Looking whether a key
is there takes some ten microseconds on one machine: cheap enough for every training step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from torch.distributed import DistError, PrefixStore, TCPStore  # type: ignore[attr-defined]  # torch does not list them

from orchestration.distributed.node import Node
from orchestration.durable import from_json, to_json
from orchestration.ending import Ending, Outcome
from orchestration.errors import LaunchError
from orchestration.stop import StopReason

JOIN_SECONDS = 300.0
"""Nodes wait so long for each other at the start; a scheduler may start them apart."""
WAIT_SECONDS = 0.05
SILENCE = timedelta(seconds=30)


@dataclass(frozen=True)
class StopWish:
    """Why the attempt should stop."""

    reason: StopReason
    detail: str


@dataclass(frozen=True)
class Report:
    """How one process ended."""

    rank: int
    ending: Ending


class Meeting:
    """One party's view of the store; use one per process and thread that may block.

    Raises:
        LaunchError: from any method, when the first node does not answer any more.
    """

    def __init__(self, store: TCPStore) -> None:
        self.store = store
        self._keys = PrefixStore("oneshot", store)

    @classmethod
    def open(cls, node: Node) -> Meeting:
        """Serve the store on the first node."""
        try:
            return cls(TCPStore(node.host, node.port, is_master=True, wait_for_workers=False, timeout=SILENCE))
        except DistError as error:
            raise LaunchError(f"{node.host}:{node.port}: cannot be listened on: {_first_line(error)}") from error

    @classmethod
    def join(cls, host: str, port: int) -> Meeting:
        """Connect to the store, waiting for it to be opened."""
        deadline = time.monotonic() + JOIN_SECONDS
        while True:
            try:
                return cls(TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=SILENCE))
            except DistError as error:
                if time.monotonic() > deadline:
                    raise LaunchError(
                        f"the first node, {host}:{port}, does not answer: {_first_line(error)}"
                    ) from error

    def announce(self, attempt: int) -> None:
        """Let the other nodes start the processes of an attempt."""
        self._write("attempt", attempt)

    def attempt(self) -> int | None:
        """Return the attempt that was announced."""
        return self._read("attempt")

    def arrive(self, node: int) -> None:
        """Say that a node is there; say it again to show that it still is."""
        self._count(f"beats/{node}", 1)

    def beats(self, node: int) -> int:
        """Return how often a node said that it is there."""
        return self._count(f"beats/{node}", 0)

    def leave(self, node: int) -> None:
        """Say that all processes of a node have ended and are reported."""
        self._write(f"left/{node}", True)

    def has_left(self, node: int) -> bool:
        """Tell whether all processes of a node have ended."""
        return bool(self._read(f"left/{node}"))

    def ask_to_stop(self, wish: StopWish) -> None:
        """Wish for an early end; the first wish stands."""
        if self.wish() is None:
            self._write("wish", vars(wish))

    def wish(self) -> StopWish | None:
        """Return the wish for an early end."""
        fields = self._read("wish")
        return StopWish(StopReason(fields["reason"]), fields["detail"]) if fields else None

    def agree_on(self, step: int) -> None:
        """Let every process stop at a step; only the first process may."""
        self._write("stop_step", step)

    def agreed_step(self) -> int | None:
        """Return the step at which every process stops."""
        return self._read("stop_step")

    def tell_progress(self, step: int, total: int) -> None:
        """Say how far the task is."""
        self._write("progress", [step, total])

    def progress(self) -> tuple[int, int]:
        """Return the last step and the number of steps, as far as they were told."""
        step, total = self._read("progress") or (0, 0)
        return step, total

    def offer_checkpoint(self, number: int, step: int | None) -> None:
        """Tell the others of which step the state is that the first process resumed for the ``number``-th time."""
        self._write(f"resumed/{number}", {"step": step})

    def checkpoint(self, number: int) -> int | None:
        """Return the step of the state to resume, once the first process has chosen it; None for a fresh start."""
        step: int | None = self.wait_for(lambda: self._read(f"resumed/{number}"))["step"]
        return step

    def report(self, report: Report) -> None:
        """Say how a process ended."""
        number = self._count("reports", 1)
        self._write(f"report/{number}", {"rank": report.rank, "ending": vars(report.ending)})

    def reports(self) -> list[Report]:
        """Return how processes ended, in the order in which they said so."""
        found = [self._read(f"report/{number}") for number in range(1, self._count("reports", 0) + 1)]
        return [
            Report(fields["rank"], Ending(**{**fields["ending"], "outcome": Outcome(fields["ending"]["outcome"])}))
            for fields in found
            if fields is not None
        ]

    def give_up(self, reason: str) -> None:
        """Let every node kill its processes; the first reason stands."""
        if self.given_up() is None:
            self._write("given_up", reason)

    def given_up(self) -> str | None:
        """Return why the processes were killed."""
        return self._read("given_up")

    @staticmethod
    def wait_for(look: Callable[[], Any]) -> Any:
        """Return what the first successful look found; whoever waits is killed when there is nothing to wait for."""
        while (found := look()) is None:
            time.sleep(WAIT_SECONDS)
        return found

    def _count(self, key: str, more: int) -> int:
        with _answering():
            return int(self._keys.add(key, more))

    def _write(self, key: str, value: Any) -> None:
        with _answering():
            self._keys.set(key, to_json(value))

    def _read(self, key: str) -> Any | None:
        with _answering():
            return from_json(self._keys.get(key).decode()) if self._keys.check([key]) else None


@contextmanager
def _answering() -> Iterator[None]:
    """Turn the silence of the first node into one message."""
    try:
        yield
    except DistError as error:
        raise LaunchError(f"the first node of the trial does not answer: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
