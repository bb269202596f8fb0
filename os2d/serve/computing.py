"""What the worker does with a batch: one forward pass for those who wait together, and no one suffers for another."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, cast

import torch

from os2d.detector import Detection, Detector, LearnedClasses
from os2d.serve.metrics import Metrics
from os2d.serve.refusal import RefusedError
from os2d.serve.work import Job, Learning, Search

logger = logging.getLogger(__name__)

SHARE_OF_THE_LATEST = 0.2
"""Weight of the newest batch in the running mean of the seconds that an image takes."""

NO_MEMORY = "DefaultCPUAllocator: can't allocate memory"
"""How torch says on the CPU what is an exception of its own on a GPU."""


class Computing:
    """The work of a detector.

    Args:
        detector: used by one thread only.
        metrics: that are told of every batch.
    """

    def __init__(self, detector: Detector, metrics: Metrics) -> None:
        self.detector, self._metrics = detector, metrics
        self.seconds_per_image = 0.0

    def do(self, jobs: Sequence[Job[Any]]) -> None:
        """Finish the future of every job, with a result or an exception."""
        for job in jobs:
            if isinstance(job.work, Learning):
                self._learn(job, job.work)
        searches = [job for job in jobs if isinstance(job.work, Search)]
        if searches:
            self._search(searches)

    def _learn(self, job: Job[LearnedClasses], work: Learning) -> None:
        started = time.monotonic()
        try:
            job.finish(self.detector.learn(work.class_images), started)
        except Exception as e:
            job.future.set_exception(_told(e))

    def _search(self, jobs: Sequence[Job[list[Detection]]]) -> None:
        """Search together; when that fails, everybody alone, so that only the one whose fault it is gets no answer."""
        started = time.monotonic()
        try:
            found = self._detect([cast(Search, job.work) for job in jobs])
        except Exception as e:
            if len(jobs) == 1:
                jobs[0].future.set_exception(_told(e))
                return
            logger.warning("a batch of %d failed (%s); its images are taken one by one", len(jobs), type(e).__name__)
            for job in jobs:
                self._search([job])
            return
        self._take_time(time.monotonic() - started, len(jobs))
        for job, detections in zip(jobs, found, strict=True):
            job.finish(detections, started)

    def _detect(self, searches: Sequence[Search]) -> list[list[Detection]]:
        return self.detector.detect_batch(
            [search.image for search in searches],
            self._classes(searches),
            thresholds=[search.threshold for search in searches],
            scales=[search.scales for search in searches],
            max_detections=[search.max_detections for search in searches],
        )

    def _classes(self, searches: Sequence[Search]) -> list[LearnedClasses]:
        """Return the classes of every search; the same object where they are the same, which saves matching."""
        joined: dict[tuple[int, ...], LearnedClasses] = {}
        classes = []
        for search in searches:
            learned = list(search.learned)
            if search.class_images:
                learned.append(self.detector.learn(search.class_images))
            classes.append(joined.setdefault(tuple(map(id, learned)), LearnedClasses.join(learned)))
        return classes

    def _take_time(self, seconds: float, images: int) -> None:
        each = seconds / images
        latest = SHARE_OF_THE_LATEST if self.seconds_per_image else 1.0
        self.seconds_per_image += latest * (each - self.seconds_per_image)
        self._metrics.batch_images.observe(images)
        self._metrics.computing_seconds.observe(seconds)


def _told(error: Exception) -> Exception:
    """Return what the client is told of: a lack of memory is no fault in our code."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or NO_MEMORY in str(error):
        message = "too little memory for this request now; send smaller or fewer pictures"
        return RefusedError("out_of_memory", message, retry_seconds=10)
    return error
