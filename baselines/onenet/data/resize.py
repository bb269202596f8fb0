"""The size at which the network sees an image: its shorter edge is given, its longer edge limited."""

from __future__ import annotations

from os2d.structures.sizes import Size


def shortest_edge_size(size: Size, shorter_px: int, longest_px: float) -> Size:
    """Return the size whose shorter edge is ``shorter_px``, or less where the longer one would exceed ``longest_px``.

    ``shorter_px`` 0 keeps the size. Edges are rounded half up after both steps, as the published program rounds them.
    """
    if shorter_px == 0:
        return size
    scale = shorter_px / min(size)
    w, h = (scale * size.w, float(shorter_px)) if size.h < size.w else (float(shorter_px), scale * size.h)
    if max(w, h) > longest_px:
        shrink = longest_px / max(w, h)
        w, h = w * shrink, h * shrink
    return Size(max(int(w + 0.5), 1), max(int(h + 0.5), 1))
