"""A trained network for single images: ``Detector.from_checkpoint(path).detect(image, class_images)``."""

from __future__ import annotations

from os2d.detector.class_images import ClassImages
from os2d.detector.detector import Detector
from os2d.detector.learned_classes import LearnedClasses
from os2d.structures.detection import Detection

__all__ = ["ClassImages", "Detection", "Detector", "LearnedClasses"]
