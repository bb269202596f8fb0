"""The processes that compute one trial, as one of them sees the others: who am I, when do we stop, what do we resume.

A wish to stop reaches the processes at different moments, and one that left alone would let the others wait in a
collective operation. So the first process names a step, the one after that at which it learnt of the wish, and
``should_stop`` becomes true in every process once its own step is that far. That is the same boundary everywhere as
long as no process begins a step before all have finished the one before, which every collective operation sees to.

Between two such boundaries, in an evaluation for example, steps do not advance: who asks there again seconds later is
told at once, and must leave in a way that the others survive or notice.
"""

from __future__ import annotations

import os
import time

from orchestration.distributed.meeting import Meeting
from orchestration.stop import StopRequest

PATIENCE_SECONDS = 2.0


class Team:
    """One process among those of the attempt.

    Args:
        meeting: where they talk.
        stop: of this process; set when the moment to stop has come.
        rank: of this process.
        size: how many processes there are.
    """

    def __init__(self, meeting: Meeting, stop: StopRequest, rank: int, size: int) -> None:
        self.rank = rank
        self.size = size
        self._meeting = meeting
        self._stop = stop
        self._learnt: tuple[int, float] | None = None
        self._resumed = 0

    @classmethod
    def from_environment(cls, stop: StopRequest) -> Team:
        """Join the others by the variables that torch's launcher sets."""
        meeting = Meeting.join(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        return cls(meeting, stop, int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))

    def should_stop(self, step: int) -> bool:
        """Tell whether this process, having done so many steps, should stop now."""
        if self._stop.reason is not None:
            return True
        wish = self._meeting.wish()
        if wish is None:
            return False
        if self._learnt is None:
            self._learnt = (step, time.monotonic())
            if self.rank == 0:
                self._meeting.agree_on(step + 1)
        agreed = self._meeting.agreed_step()
        learnt_at, since = self._learnt
        is_between_steps = step == learnt_at and time.monotonic() - since > PATIENCE_SECONDS
        if is_between_steps or (agreed is not None and step >= agreed):
            self._stop.set(wish.reason, wish.detail)
        return self._stop.reason is not None

    def tell_checkpoint(self, step: int | None) -> None:
        """Let the others resume what the first process has resumed; None for a fresh start."""
        self._resumed += 1
        self._meeting.offer_checkpoint(self._resumed, step)

    def chosen_checkpoint(self) -> int | None:
        """Return the step of the state that the first process has resumed; waits for it."""
        self._resumed += 1
        return self._meeting.checkpoint(self._resumed)
