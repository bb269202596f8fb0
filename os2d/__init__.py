"""One-shot object detection by matching anchor features (OS2D, arXiv 2003.06800)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os2d.detector import Detector as Detector


def __getattr__(name: str) -> Any:
    """Return ``os2d.Detector``, which needs torch, when somebody asks for it: planners do not."""
    if name == "Detector":
        from os2d.detector import Detector

        return Detector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
