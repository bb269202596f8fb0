"""The supervisor of a node's processes: it starts them through torch's elastic launcher and minds what they cannot.

The first node's supervisor holds the claim, beats, hears signals and wishes, and gives the one verdict on the attempt.
Nothing is restarted here: whether another attempt follows is for the retry budget to say.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.distributed.elastic.agent.server.api import RunResult, WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousInfo, RendezvousStoreInfo

from orchestration.attempt import Attempt
from orchestration.distributed.meeting import JOIN_SECONDS, Meeting, Report, StopWish
from orchestration.distributed.node import Node
from orchestration.distributed.verdict import verdict
from orchestration.ending import Ending
from orchestration.errors import LaunchError
from orchestration.exit_status import OutOfMemoryWatch, ending_by_exit
from orchestration.journal import TrialFolder
from orchestration.resources import Resources
from orchestration.stop import PARENT_VARIABLE, Pulse, StopReason, StopRequest
from orchestration.trial_description import Trial

WATCH_SECONDS = 0.1
LOST_SECONDS = 30.0
"""A node that was not heard of for so long is taken for lost."""
LINGER_SECONDS = 20.0
"""The other processes may take so long to end after the first one has."""
SETTLE_SECONDS = 5.0
"""Other nodes may take so long to report how their processes ended."""


def supervise(
    folder: TrialFolder,
    trial: Trial,
    attempt: Attempt,
    stop: StopRequest,
    node: Node,
    sample: Callable[[], Mapping[str, float]],
) -> Ending:
    """Run a claimed attempt from its first node; return how it ended."""
    resources = trial.resources
    meeting = Meeting.open(node)
    pulse = Pulse(folder, attempt, stop, resources.hours, sample)
    pulse.start()
    try:
        supervisor = _Supervisor(meeting, node, resources, stop, attempt.folder, pulse)
        supervisor.wait_for_nodes()
        meeting.announce(attempt.number)
        supervisor.run_processes()
        supervisor.wait_for_reports()
    finally:
        pulse.end()
    return verdict(meeting.reports(), meeting.wish(), meeting.given_up())


def assist(folder: TrialFolder, resources: Resources, stop: StopRequest, node: Node) -> None:
    """Run the processes of a further node of the attempt that the first node has claimed.

    Raises:
        LaunchError: the first node does not answer; it has not claimed the trial, or it is gone.
    """
    meeting = Meeting.join(node.host, node.port)
    meeting.arrive(node.rank)
    deadline = time.monotonic() + JOIN_SECONDS
    while (number := meeting.attempt()) is None:
        if meeting.given_up() is not None or time.monotonic() > deadline:
            return
        time.sleep(WATCH_SECONDS)
        meeting.arrive(node.rank)
    _Supervisor(meeting, node, resources, stop, folder.attempts_folder / str(number), None).run_processes()


class _Supervisor:
    """One node's processes and the thread that watches over them."""

    def __init__(
        self, meeting: Meeting, node: Node, resources: Resources, stop: StopRequest, attempt: Path, pulse: Pulse | None
    ) -> None:
        self._meeting = meeting
        self._node = node
        self._resources = resources
        self._stop = stop
        self._attempt = attempt
        self._pulse = pulse
        self._launcher = os.getppid()
        self._beats = {other: (0, time.monotonic()) for other in range(1, resources.nodes)}
        self._first_ended: float | None = None
        self._agent: _Agent | None = None

    def wait_for_nodes(self) -> None:
        """Wait until every node is there, or nobody wants the attempt any more."""
        deadline = time.monotonic() + JOIN_SECONDS
        while missing := [rank for rank in self._beats if not self._meeting.beats(rank)]:
            if self._stop.reason is not None or time.monotonic() > deadline:
                reason = f"{len(missing)} of the other nodes did not join within {JOIN_SECONDS:.0f} s"
                self._meeting.give_up(str(self._stop.reason or reason))
                return
            time.sleep(WATCH_SECONDS)

    def run_processes(self) -> None:
        """Start the node's processes, wait for their end, and report those that could not do it themselves."""
        memory = OutOfMemoryWatch()
        own = Meeting.join(self._node.host, self._meeting.store.port)  # what the agent waits for blocks its connection
        self._agent = _Agent(self._specification(own), DefaultLogsSpecs(log_dir=os.devnull), exit_barrier_timeout=30)
        with self._watching(), _own_signal_handlers():
            if self._meeting.given_up() is None:
                self._report(self._agent.run(), memory)
        self._meeting.leave(self._node.rank)

    def wait_for_reports(self) -> None:
        """Wait until the other nodes have said how their processes ended, but not for long."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and not all(map(self._meeting.has_left, self._beats)):
            time.sleep(WATCH_SECONDS)

    def _specification(self, meeting: Meeting) -> WorkerSpec:
        return WorkerSpec(
            role="trial",
            local_world_size=self._resources.processes_per_node,
            entrypoint=sys.executable,
            args=("-m", "orchestration.distributed.rank", str(self._attempt)),
            rdzv_handler=_Rendezvous(meeting, self._node, self._resources.nodes),
            max_restarts=0,
            monitor_interval=WATCH_SECONDS,
        )

    def _report(self, result: RunResult, memory: OutOfMemoryWatch) -> None:
        given_up = self._meeting.given_up() is not None
        reported = {report.rank for report in self._meeting.reports()}
        for rank, failure in sorted(result.failures.items()):
            if rank not in reported and not given_up:
                log = self._attempt / ("stderr.log" if rank == 0 else f"stderr.rank{rank}.log")
                self._meeting.report(Report(rank, ending_by_exit(failure.exitcode, log, memory)))
        if result.is_failed():
            self._meeting.give_up("a process failed")

    @contextmanager
    def _watching(self) -> Iterator[None]:
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(WATCH_SECONDS):
                try:
                    self._look()
                except LaunchError:  # the first node is gone, and with it the attempt
                    self._kill()

        thread = threading.Thread(target=watch, name="supervisor", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _look(self) -> None:
        """Pass on wishes and progress, and look whether anybody is still waited for in vain."""
        if self._pulse is None and os.getppid() != self._launcher:
            self._stop.set(StopReason.LAUNCHER_GONE)
        if self._stop.reason is not None:
            self._meeting.ask_to_stop(StopWish(self._stop.reason, self._stop.detail))
        if self._pulse is None:
            self._meeting.arrive(self._node.rank)
        else:
            self._pulse.step, self._pulse.total = self._meeting.progress()
            self._look_for_lost_nodes()
            self._look_for_stragglers()
        if self._meeting.given_up() is not None:
            self._kill()

    def _look_for_lost_nodes(self) -> None:
        now = time.monotonic()
        for rank, (before, since) in self._beats.items():
            beats = self._meeting.beats(rank)
            if beats != before or self._meeting.has_left(rank):
                self._beats[rank] = (beats, now)
            elif now - since > LOST_SECONDS:
                self._meeting.give_up(f"node {rank} of the trial was not heard of for {LOST_SECONDS:.0f} s")

    def _look_for_stragglers(self) -> None:
        if self._first_ended is None:
            if any(report.rank == 0 for report in self._meeting.reports()):
                self._first_ended = time.monotonic()
        elif time.monotonic() - self._first_ended > LINGER_SECONDS:
            self._meeting.give_up(f"processes went on for {LINGER_SECONDS:.0f} s after the first had ended")

    def _kill(self) -> None:
        if self._agent is not None:
            for worker in self._agent.get_worker_group().workers:
                if isinstance(worker.id, int) and worker.id > 0:
                    _kill_group(worker.id)


class _Agent(LocalElasticAgent):
    """Torch's agent, except that it does not wait for the rest when a process has failed.

    The others could only save what the first one has saved already, and may hang in a collective operation.
    """

    def _shutdown(self, death_sig: signal.Signals = signal.SIGTERM, timeout: int = 30) -> None:
        super()._shutdown(signal.SIGKILL, timeout)


class _Rendezvous(RendezvousHandler):
    """Nodes whose ranks the back end has given, meeting in the store that the first one serves."""

    def __init__(self, meeting: Meeting, node: Node, nodes: int) -> None:
        self._meeting = meeting
        self._node = node
        self._nodes = nodes

    @property
    def use_agent_store(self) -> bool:
        """Let the processes form their group in the same store, so that one port is enough."""
        return True

    def next_rendezvous(self) -> RendezvousInfo:
        """Return the store; who is missing is waited for there."""
        store = self._meeting.store
        place = RendezvousStoreInfo(self._node.host, store.port)
        return RendezvousInfo(store, self._node.rank, self._nodes, place)

    def get_backend(self) -> str:
        """Return a name for torch's records."""
        return "oneshot"

    def get_run_id(self) -> str:
        """Return a name for torch's records."""
        return "trial"

    def is_closed(self) -> bool:
        """Tell that nobody closes it."""
        return False

    def set_closed(self) -> None:
        """Do nothing: nothing is restarted."""

    def num_nodes_waiting(self) -> int:
        """Tell that no node comes late: their number is fixed."""
        return 0

    def shutdown(self) -> bool:
        """Leave the store to its owner."""
        return True


@contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Keep torch's agent from dying at the signals by which we are asked to stop, and mark us as the parent."""
    ours: dict[str, Any] = {"TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGQUIT", PARENT_VARIABLE: str(os.getpid())}
    os.environ.update(ours)
    logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended by itself
        return
