"""How large the published data sets are, to notice files that are missing.

Light on purpose (no torch, no pandas).
"""

from __future__ import annotations

from dataclasses import dataclass

from os2d.data.annotation import Annotation


@dataclass(frozen=True)
class SetSize:
    """Numbers of things in a data set; None: not published."""

    images: int | None = None
    boxes: int | None = None
    classes: int | None = None
    not_difficult: int | None = None

    @classmethod
    def of(cls, annotation: Annotation) -> SetSize:
        """Return the size of a data set that was read."""
        rows = annotation.rows
        not_difficult = sum(not row.difficult for row in rows)
        return cls(len(annotation.image_ids), len(rows), len({row.classid for row in rows}), not_difficult)

    def described(self) -> str:
        """Return what is known of the size, in words."""
        return ", ".join(f"{n} {what}" for what, n in _counts(self) if n is not None)


PUBLISHED = {
    "grozi-train": SetSize(596, 7781, 878, 5755),
    "grozi-val-new-cl": SetSize(84, 622, 185, 468),
    "dairy": SetSize(12, 786, 166, 690),
    "paste-v": SetSize(91, 4861, 259, 3478),
    "paste-f": SetSize(91, 4861, 259, 4861),
    "instre-s1-train": SetSize(11775, 77940, 375, 77940),
    "instre-s1-val": SetSize(841, 5300, 25, 5300),
    "instre-s2-train": SetSize(8686, 49090, 375, 49090),
    "instre-s2-val": SetSize(560, 2800, 25, 2800),
    "imagenet-repmet-val-5000": SetSize(4942, 5000, None, 5000),
}


def size_problem(name: str, found: SetSize) -> str | None:
    """Return how a data set differs from the published one; None if it does not, or no size was published."""
    published = PUBLISHED.get(name)
    if published is None:
        return None
    pairs = zip(_counts(published), _counts(found), strict=True)
    different = [f"{wanted} {what} (found {have})" for (what, wanted), (_, have) in pairs if wanted not in (None, have)]
    return f"{name}: expected {', '.join(different)}" if different else None


def _counts(size: SetSize) -> list[tuple[str, int | None]]:
    return [
        ("images", size.images),
        ("boxes", size.boxes),
        ("classes", size.classes),
        ("boxes that are not difficult", size.not_difficult),
    ]
