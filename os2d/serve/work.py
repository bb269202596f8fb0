"""What the worker is asked to do, and what it answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from PIL.Image import Image

from os2d.detector import Detection, LearnedClasses

Result = TypeVar("Result")


class Work(Generic[Result]):
    """Something to be done, and the type of what comes out."""


@dataclass(frozen=True)
class Learning(Work[LearnedClasses]):
    """Learn classes: name -> pictures of it."""

    class_images: Mapping[str, Sequence[Image]]


@dataclass(frozen=True)
class Search(Work[list[Detection]]):
    """Find classes in an image.

    Args:
        image: RGB.
        class_images: classes to learn on the way.
        learned: classes that are known already.
        threshold: of the score; None: the detector's own.
        max_detections: the best ones.
        scales: at which the image is seen, in pixels of its longer side; None: the detector's own.
    """

    image: Image
    class_images: Mapping[str, Sequence[Image]]
    learned: Sequence[LearnedClasses]
    threshold: float | None
    max_detections: int
    scales: Sequence[float] | None = None


@dataclass(frozen=True)
class Done(Generic[Result]):
    """What came out, after how many seconds of waiting and of work."""

    result: Result
    queued_seconds: float
    computed_seconds: float


@dataclass(frozen=True)
class Job(Generic[Result]):
    """Work in the queue."""

    work: Work[Result]
    future: Future[Done[Result]] = field(default_factory=Future)
    entered: float = field(default_factory=time.monotonic)

    def finish(self, result: Result, started: float) -> None:
        """Hand over what came out of work that began at a time of the monotonic clock."""
        self.future.set_result(Done(result, started - self.entered, time.monotonic() - started))
