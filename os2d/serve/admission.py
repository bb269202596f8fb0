"""Back-pressure: who is taken on, and who is asked to come back later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from os2d.serve.metrics import Metrics
from os2d.serve.refusal import RefusedError
from os2d.serve.settings import ServeSettings

SHARE_OF_TIME = 0.5
"""Part of a request's time that may pass in the queue: a forecast can be wrong by the other part."""


class Admission:
    """Counts the requests that are read, wait or are computed; used by the event loop only.

    Everything a request needs in memory comes after it was taken on, so their number bounds that too.
    """

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        self.pending = 0
        self._settings, self._metrics = settings, metrics

    @contextmanager
    def __call__(self, seconds_per_image: float) -> Iterator[None]:
        """Take on one request until the block ends.

        Args:
            seconds_per_image: that the network takes at present.

        Raises:
            RefusedError: too many are pending, or the answer would come too late.
        """
        wait = self.pending * seconds_per_image
        too_late = self.pending > 0 and wait > SHARE_OF_TIME * self._settings.request_seconds
        if self.pending >= self._settings.max_pending or too_late:
            seconds = max(1, ceil(wait))
            raise RefusedError("overloaded", f"too many requests; try again in {seconds} s", retry_seconds=seconds)
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self.pending += change
        self._metrics.pending.set(self.pending)
