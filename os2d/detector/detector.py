"""One trained network, loaded once: class images and images in, detections out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from os2d.detector.class_images import ClassImages, Picture, as_picture, views_by_name
from os2d.detector.learned_classes import LearnedClasses
from os2d.errors import ConfigError, DataError
from os2d.structures.detection import Detection

AUTO = "auto"
"""A GPU if there is one that torch can use, else the CPU."""


@dataclass(frozen=True)
class Look:
    """One image, and what to look for in it.

    Args:
        image: RGB.
        classes: what this network learned.
        threshold: detections have a higher score.
        scales: sizes at which the image is seen, in pixels; None: as the network is configured.
        max_detections: only so many of the best; None: all.
    """

    image: Image.Image
    classes: LearnedClasses
    threshold: float
    scales: tuple[float, ...] | None = None
    max_detections: int | None = None


class Detector(ABC):
    """A network on its device; :meth:`from_checkpoint` makes one.

    Nothing in it changes after it is made. One thread at a time may use it.

    >>> from os2d.config import default_config
    >>> from os2d.detector.os2d_detector import Os2dDetector
    >>> from os2d.modeling.network import build_os2d
    >>> config = default_config()
    >>> config.model.backbone_arch = "ResNet18"
    >>> untrained = build_os2d(config)  # a trained one: Detector.from_checkpoint("os2d_v2-train")
    >>> detector = Os2dDetector(untrained, config, Path("untrained.pth"))
    >>> tea = detector.learn({"tea": Image.new("RGB", (48, 64), "green")})
    >>> found = detector.detect(Image.new("RGB", (96, 64)), tea, threshold=-1, scales=[96], max_detections=1)
    >>> [detection.label for detection in found]
    ['tea']

    Attributes:
        name: of the kind of network.
        weights: the file they came from.
        class_names: what it was trained to find; None: it wants class images.
        default_threshold: what a detection's score must exceed unless a caller says otherwise.
        default_scales: sizes at which it sees an image unless a caller says otherwise, in pixels.
    """

    name: ClassVar[str]
    weights: Path
    class_names: tuple[str, ...] | None = None
    default_threshold: float
    default_scales: tuple[float, ...]

    @staticmethod
    def from_checkpoint(path: str | Path, overrides: Mapping[str, Any] | None = None, device: str = AUTO) -> Detector:
        """Return the network of a weights file.

        Which network it is, is told by the names of the weights. How it is set is told by the configuration of the
        trial or training that the file belongs to, if it still lies there, else by the weights and the defaults.

        Args:
            path: of a file, of a trial's folder, or whatever else ``oneshot detect --model`` takes.
            overrides: configuration key -> value, on top of that.
            device: ``auto``, ``cpu`` or ``cuda``.

        Raises:
            CheckpointError: the file is missing, unreadable, or of a network that is not known here.
            ConfigError: a key or a value is wrong.
            DeviceError: there is no such device.
        """
        # Loading a network is their job, and they return detectors.
        from os2d.detector.find_model import find_model
        from os2d.detector.networks import load_detector

        return load_detector(find_model(path), overrides or {}, device)

    def learn(self, class_images: ClassImages) -> LearnedClasses:
        """Return what the network makes of pictures of classes; made once, it serves any number of images.

        Several pictures under one name are views of one class. A sequence of pictures gives each its own class, called
        as its file. A network with ``class_names`` takes some of these names.

        Raises:
            DataError: a picture cannot be read or two have the same name.
        """
        return self._learn(views_by_name(class_images))

    def detect(
        self,
        image: Picture,
        class_images: ClassImages | LearnedClasses | None = None,
        *,
        threshold: float | None = None,
        scales: Sequence[float] | None = None,
        max_detections: int | None = None,
    ) -> list[Detection]:
        """Return what is found in an image, best first.

        Args:
            image: RGB, or the file of a picture.
            class_images: what to look for; None: all of ``class_names``.
            threshold: detections have a higher score; None: ``default_threshold``.
            scales: sizes at which the image is seen, in pixels; None: as the network is configured.
            max_detections: only so many of the best; None: all.

        Raises:
            DataError: a picture cannot be read, or the classes were learned by another network.
            ConfigError: a value is out of its range.
        """
        wanted = self.class_names or () if class_images is None else class_images
        classes = wanted if isinstance(wanted, LearnedClasses) else self.learn(wanted)
        (found,) = self.detect_batch(
            [as_picture(image)], [classes], thresholds=[threshold], scales=[scales], max_detections=[max_detections]
        )
        return found

    def detect_batch(
        self,
        images: Sequence[Image.Image],
        classes: Sequence[LearnedClasses],
        *,
        thresholds: Sequence[float | None] | None = None,
        scales: Sequence[Sequence[float] | None] | None = None,
        max_detections: Sequence[int | None] | None = None,
    ) -> list[list[Detection]]:
        """Return what :meth:`detect` finds in each of several images; those of one size share a forward pass.

        Args:
            images: RGB.
            classes: of every image.
            thresholds: of every image; None: as for :meth:`detect`, and so for those below.
            scales: of every image.
            max_detections: of every image.
        """
        nothing: list[None] = [None] * len(images)
        settings = zip(
            images, classes, thresholds or nothing, scales or nothing, max_detections or nothing, strict=True
        )
        looks = [self._look(*setting) for setting in settings]
        return self._detect(looks)

    def _look(
        self,
        image: Image.Image,
        classes: LearnedClasses,
        threshold: float | None,
        scales: Sequence[float] | None,
        max_detections: int | None,
    ) -> Look:
        if classes.network is not self.network:
            raise DataError(f"these classes were learned by another network than {self.weights}; learn them with it")
        threshold = self.default_threshold if threshold is None else threshold
        if isnan(threshold):
            raise ConfigError("threshold: expected a number, got nan")
        if scales is not None and (not scales or any(not 0 < scale < float("inf") for scale in scales)):
            raise ConfigError(f"scales: expected at least one positive number of pixels, got {list(scales)}")
        if max_detections is not None and max_detections < 0:
            raise ConfigError(f"max_detections: expected 0 or a positive whole number, got {max_detections}")
        return Look(image.convert("RGB"), classes, threshold, tuple(scales) if scales else None, max_detections)

    @property
    @abstractmethod
    def network(self) -> object:
        """What makes features of class images; classes that another one learned mean nothing here."""

    @abstractmethod
    def _learn(self, views: Mapping[str, Sequence[Image.Image]]) -> LearnedClasses:
        """Return the features of classes, of which there is at least one, each with at least one RGB picture."""

    @abstractmethod
    def _detect(self, looks: Sequence[Look]) -> list[list[Detection]]:
        """Return what is found in every image, best first."""
