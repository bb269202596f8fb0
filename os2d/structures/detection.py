"""What is found in an image, one object at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Detection:
    """An object in an image.

    Args:
        label: name of its class.
        score: what the evaluation of the network ranks by; higher is better.
        box_xyxy: left, top, right and bottom, in pixels of the image as given.
        corners: x and y of the four corners of the aligned class image, going around from its top left, in pixels of
            the image; None where the network aligns nothing.
    """

    label: str
    score: float
    box_xyxy: tuple[float, float, float, float]
    corners: tuple[tuple[float, float], ...] | None = None
