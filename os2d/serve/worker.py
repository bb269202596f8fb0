"""One thread that owns the network: requests wait in its queue, images that wait together go through together."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

from os2d.detector import Detector
from os2d.serve.computing import Computing
from os2d.serve.metrics import Metrics
from os2d.serve.refusal import RefusedError
from os2d.serve.settings import ServeSettings
from os2d.serve.work import Job, Result, Search, Work

logger = logging.getLogger(__name__)

WARM_UP_SIZE = (320, 240)
WARM_UP_CLASS_SIZE = (64, 64)


class Worker:
    """Loads a detector in its thread and lets it work there, one batch after the other.

    Args:
        load: returns the detector.
        settings: of the server.
        metrics: that are told of every batch.
        on_failure: called in the thread if the detector cannot be loaded.
    """

    def __init__(
        self, load: Callable[[], Detector], settings: ServeSettings, metrics: Metrics, on_failure: Callable[[], None]
    ) -> None:
        self.computing: Computing | None = None
        self.failure: BaseException | None = None
        self._load, self._settings, self._metrics, self._on_failure = load, settings, metrics, on_failure
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="detector", daemon=True)

    def start(self) -> None:
        """Begin to load the detector."""
        self._thread.start()

    def ready(self) -> Computing:
        """Return the work of the loaded detector.

        Raises:
            RefusedError: it is still being loaded, or could not be.
        """
        if self.computing is None or not self._thread.is_alive():
            raise RefusedError("not_ready", "the network is being loaded; ask again in a moment", retry_seconds=2)
        return self.computing

    def submit(self, work: Work[Result]) -> Job[Result]:
        """Put work into the queue; cancelling its future before its turn takes it out again."""
        job = Job(work)
        self._jobs.put(job)
        return job

    def stop(self) -> None:
        """Finish the batch that is computed, refuse what waits, end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self.computing = _warmed_up(self._load(), self._settings, self._metrics)
        except BaseException as e:
            self.failure = e
            self._on_failure()
            return
        logger.info("ready: %.2f seconds for a picture", self.computing.seconds_per_image)
        while jobs := self._next_jobs():
            self.computing.do([job for job in jobs if job.future.set_running_or_notify_cancel()])
            del jobs  # the pictures in it must not stay until the next ones come
        self._refuse_waiting()

    def _next_jobs(self) -> list[Job[Any]]:
        """Wait for work and return what is done next, together with what comes while it waits for company."""
        first = self._jobs.get()
        jobs = [first] if first else []
        deadline = time.monotonic() + self._settings.batch_wait_ms / 1000
        while jobs and len(jobs) < self._settings.max_batch:
            try:
                job = self._jobs.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)  # the end, for the next call
                break
            jobs.append(job)
        return jobs

    def _refuse_waiting(self) -> None:
        stopping = RefusedError("not_ready", "the server is stopping; ask again when it is back", retry_seconds=5)
        while not self._jobs.empty():
            job = self._jobs.get()
            if job and job.future.set_running_or_notify_cancel():
                job.future.set_exception(stopping)


def _warmed_up(detector: Detector, settings: ServeSettings, metrics: Metrics) -> Computing:
    """Detect once: the first time is slow, and how long it takes tells how many requests can be taken on."""
    computing = Computing(detector, metrics)
    image, class_image = Image.new("RGB", WARM_UP_SIZE, "grey"), Image.new("RGB", WARM_UP_CLASS_SIZE, "white")
    trained = detector.class_names
    class_images: Mapping[str, Sequence[Image.Image]] = (
        {"warm-up": [class_image]} if trained is None else dict.fromkeys(trained, ())
    )
    job = Job(Search(image, class_images, [], None, max_detections=1, scales=settings.scales or None))
    computing.do([job])
    job.future.result()
    return computing
