"""One server: what its routes share, and the way of a request through it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request

from os2d.detector import Detector
from os2d.serve.admission import Admission
from os2d.serve.computing import Computing
from os2d.serve.metrics import Metrics
from os2d.serve.pictures import PictureLimits
from os2d.serve.refusal import RefusedError
from os2d.serve.registered_classes import RegisteredClasses
from os2d.serve.settings import ServeSettings
from os2d.serve.work import Done, Result, Work
from os2d.serve.worker import Worker

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

DECODING_THREADS = 2
"""Pictures that are decoded at the same time: each may take a hundred megabytes while it is."""


class Service:
    """The state behind the routes.

    Args:
        settings: of the server.
        load: returns the detector; called in the worker's thread.
        on_failure: called in that thread if it raises.
    """

    def __init__(self, settings: ServeSettings, load: Callable[[], Detector], on_failure: Callable[[], None]) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.admission = Admission(settings, self.metrics)
        self.classes = RegisteredClasses(settings.cached_class_images, self.metrics)
        self.limits = PictureLimits.from_settings(settings)
        self.worker = Worker(load, settings, self.metrics, on_failure)
        self._decoders = CapacityLimiter(DECODING_THREADS)

    @asynccontextmanager
    async def pending(self) -> AsyncIterator[Computing]:
        """Take on a request whose time runs from now on, and refuse it when that is over.

        Raises:
            RefusedError: the network is not ready, too many requests are pending, or the time is over.
        """
        computing = self.worker.ready()
        with self.admission(computing.seconds_per_image):
            try:
                async with asyncio.timeout(self.settings.request_seconds):
                    yield computing
            except TimeoutError as e:
                seconds = self.settings.request_seconds
                raise RefusedError("timeout", f"no answer within {seconds:g} s; send smaller or fewer pictures") from e

    async def in_thread(self, work: Callable[[], Value]) -> Value:
        """Decode or resize pictures beside the event loop."""
        return await to_thread.run_sync(work, limiter=self._decoders)

    async def compute(self, work: Work[Result], request: Request) -> Done[Result]:
        """Return what the detector makes of the work; it is dropped if the client goes away before its turn."""
        answer = asyncio.wrap_future(self.worker.submit(work).future)
        gone = asyncio.create_task(_disconnection(request))
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise RefusedError("abandoned", "the client has closed the connection")
            return answer.result()
        finally:
            answer.cancel()
            gone.cancel()


async def _disconnection(request: Request) -> None:
    """Return when the client has gone; its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
