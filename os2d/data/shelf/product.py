"""Draw a product from the front: a picture and the mask of its outline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from os2d.data.shelf.design import Colour, Design

HEIGHT_PX = 176
OVERSAMPLING = 2
Array = np.ndarray


@dataclass(frozen=True)
class Product:
    """A drawn product; both pictures have the same size and enclose the outline tightly."""

    picture: Image.Image
    mask: Image.Image


def draw_product(design: Design, height_px: int = HEIGHT_PX) -> Product:
    """Return the front view of a product, ``height_px`` high."""
    height = height_px * OVERSAMPLING
    width = round(height / design.aspect)
    mask = Image.new("L", (width, height), 0)
    _OUTLINES[design.shape](ImageDraw.Draw(mask), width, height)
    picture = Image.fromarray(_paint_pattern(design, width, height))
    _paint_label(design, picture)
    _paint_closure(design, picture)
    picture = _shade(design.shape, picture, mask)
    size = (round(height_px / design.aspect), height_px)
    return Product(picture.resize(size, Image.Resampling.LANCZOS), mask.resize(size, Image.Resampling.LANCZOS))


def _carton_outline(draw: ImageDraw.ImageDraw, w: int, h: int) -> None:
    draw.rounded_rectangle((0, 0, w - 1, h - 1), radius=0.02 * w, fill=255)


def _can_outline(draw: ImageDraw.ImageDraw, w: int, h: int) -> None:
    rim = 0.05 * h
    draw.rounded_rectangle((0, rim, w - 1, h - 1 - rim), radius=0.05 * w, fill=255)
    draw.ellipse((0.05 * w, 0, 0.95 * w, 2.4 * rim), fill=255)
    draw.ellipse((0.05 * w, h - 1 - 2.4 * rim, 0.95 * w, h - 1), fill=255)


def _bottle_outline(draw: ImageDraw.ImageDraw, w: int, h: int) -> None:
    half = np.array([0.2, 0.2, 0.19, 0.19, 0.3, 0.44, 0.5, 0.5, 0.47])
    rows = np.array([0.0, 0.12, 0.13, 0.2, 0.27, 0.34, 0.42, 0.97, 1.0])
    t = np.linspace(0, 1, 80)
    edge = np.interp(t, rows, half)
    right = [((0.5 + e) * (w - 1), y * (h - 1)) for e, y in zip(edge, t, strict=True)]
    left = [((0.5 - e) * (w - 1), y * (h - 1)) for e, y in zip(edge[::-1], t[::-1], strict=True)]
    draw.polygon(right + left, fill=255)


def _pouch_outline(draw: ImageDraw.ImageDraw, w: int, h: int) -> None:
    t = np.linspace(0, 1, 60)
    bulge = 0.5 - 0.035 * np.sin(np.pi * t) ** 0.5 + 0.012 * np.cos(6 * np.pi * t) - 0.012
    right = [((0.5 + e) * (w - 1), y * (h - 1)) for e, y in zip(bulge, t, strict=True)]
    left = [((0.5 - e) * (w - 1), y * (h - 1)) for e, y in zip(bulge[::-1], t[::-1], strict=True)]
    draw.polygon(right + left, fill=255)


def _jar_outline(draw: ImageDraw.ImageDraw, w: int, h: int) -> None:
    draw.rounded_rectangle((0.06 * w, 0, 0.94 * w, 0.2 * h), radius=0.03 * w, fill=255)
    draw.rounded_rectangle((0, 0.17 * h, w - 1, h - 1), radius=0.14 * w, fill=255)


_OUTLINES: dict[str, Callable[[ImageDraw.ImageDraw, int, int], None]] = {
    "carton": _carton_outline,
    "bottle": _bottle_outline,
    "can": _can_outline,
    "pouch": _pouch_outline,
    "jar": _jar_outline,
}


def _paint_pattern(design: Design, width: int, height: int) -> Array:
    """Return the ground and figure colours mixed by the pattern, H x W x 3 bytes."""
    y, x = np.mgrid[0:height, 0:width] / width
    angle = np.deg2rad(design.pattern_degrees)
    u = (x * np.cos(angle) + y * np.sin(angle)) * design.pattern_cells
    v = (-x * np.sin(angle) + y * np.cos(angle)) * design.pattern_cells
    share = _PATTERNS[design.pattern](u, v, np.random.default_rng(design.variation))[..., None]
    mixed = np.asarray(design.ground) * (1 - share) + np.asarray(design.figure) * share
    painted: Array = mixed.astype(np.uint8)
    return painted


def _soft_step(value: Array) -> Array:
    return np.clip(value * 6 + 0.5, 0, 1)


def _stripes(u: Array, v: Array, rng: np.random.Generator) -> Array:
    return _soft_step(np.cos(2 * np.pi * u) + rng.uniform(-0.4, 0.4))


def _dots(u: Array, v: Array, rng: np.random.Generator) -> Array:
    shifted = u + 0.5 * (np.floor(v) % 2)
    distance = np.hypot(shifted % 1 - 0.5, v % 1 - 0.5)
    return _soft_step((rng.uniform(0.25, 0.36) - distance) * 4)


def _checks(u: Array, v: Array, rng: np.random.Generator) -> Array:
    share: Array = ((np.floor(u) + np.floor(v)) % 2).astype(float)
    return share


def _gradient(u: Array, v: Array, rng: np.random.Generator) -> Array:
    span = u + 0.4 * v
    share: Array = ((span - span.min()) / np.ptp(span)) ** rng.uniform(0.6, 1.6)
    return share


def _blobs(u: Array, v: Array, rng: np.random.Generator) -> Array:
    field = np.zeros_like(u)
    for cu, cv, size in rng.uniform((u.min(), v.min(), 0.35), (u.max(), v.max(), 0.9), size=(14, 3)):
        field += np.exp(-((u - cu) ** 2 + (v - cv) ** 2) / size**2)
    return _soft_step((field - 0.7) * 2)


def _rays(u: Array, v: Array, rng: np.random.Generator) -> Array:
    centre_u, centre_v = u.mean(), v.mean() + 0.3 * np.ptp(v) * rng.uniform(-1, 1)
    return _soft_step(2 * np.sin(int(rng.integers(6, 13)) * np.arctan2(v - centre_v, u - centre_u)))


def _waves(u: Array, v: Array, rng: np.random.Generator) -> Array:
    return _soft_step(np.sin(2 * np.pi * (v + 0.25 * np.sin(2 * np.pi * u * rng.uniform(0.4, 0.8)))) * 2)


def _zigzag(u: Array, v: Array, rng: np.random.Generator) -> Array:
    return _soft_step(np.sin(2 * np.pi * (v + 0.6 * np.abs(u % 1 - 0.5))) * 2 + rng.uniform(-0.3, 0.3))


_PATTERNS: dict[str, Callable[[Array, Array, np.random.Generator], Array]] = {
    "stripes": _stripes,
    "dots": _dots,
    "checks": _checks,
    "gradient": _gradient,
    "blobs": _blobs,
    "rays": _rays,
    "waves": _waves,
    "zigzag": _zigzag,
}


def _paint_label(design: Design, picture: Image.Image) -> None:
    """Put a plate with the brand, the emblem and the small print onto the pattern."""
    w, h = picture.size
    draw = ImageDraw.Draw(picture)
    top, bottom = (0.45, 0.92) if design.shape == "bottle" else (0.24, 0.95) if design.shape == "jar" else (0.08, 0.92)
    span = bottom - top
    plate_top, plate_bottom = (top + 0.3 * span) * h, (top + 0.72 * span) * h
    if design.label == "band":
        draw.rectangle((0, plate_top, w, plate_bottom), fill=design.plate)
        draw.rectangle((0, plate_top - 0.02 * h, w, plate_top), fill=design.ink)
        draw.rectangle((0, plate_bottom, w, plate_bottom + 0.02 * h), fill=design.ink)
    elif design.label == "oval":
        draw.ellipse((0.08 * w, (top + 0.18 * span) * h, 0.92 * w, (top + 0.82 * span) * h), fill=design.plate)
    elif design.label == "split":
        draw.rectangle((0, (top + 0.5 * span) * h, w, h), fill=design.plate)
    else:
        draw.rounded_rectangle((0.1 * w, plate_top, 0.9 * w, plate_bottom), radius=0.06 * w, fill=design.plate)
    text_row = top + span * (0.68 if design.label == "split" else 0.47)
    emblem_row = top + span * (0.22 if design.label == "split" else design.emblem_row)
    _draw_emblem(draw, design, 0.5 * w, emblem_row * h, min(0.19 * w, 0.14 * span * h))
    _write(draw, design.brand, (0.5 * w, text_row * h), 0.7 * w, 0.2 * span * h, design.ink, weight=0.03)
    _write(draw, design.goods, (0.5 * w, (text_row + 0.15 * span) * h), 0.6 * w, 0.1 * span * h, design.ink)
    if design.label == "split":
        _write(draw, design.amount, (0.78 * w, (bottom - 0.04 * span) * h), 0.3 * w, 0.07 * span * h, design.ink)


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    centre: tuple[float, float],
    width: float,
    height: float,
    colour: Colour,
    weight: float = 0.0,
) -> None:
    """Write one line of text, as large as fits into ``width`` x ``height`` around ``centre``."""
    probe = ImageFont.load_default(size=40)
    left, _, right, _ = probe.getbbox(text)
    size = max(min(40 * width / (right - left), height), 4.0)
    stroke = round(weight * size)
    font = ImageFont.load_default(size=size)
    draw.text(centre, text, font=font, fill=colour, anchor="mm", stroke_width=stroke, stroke_fill=colour)


def _draw_emblem(draw: ImageDraw.ImageDraw, design: Design, cx: float, cy: float, radius: float) -> None:
    draw.ellipse((cx - 1.3 * radius, cy - 1.3 * radius, cx + 1.3 * radius, cy + 1.3 * radius), fill=design.plate)
    outline = [(cx + radius * x, cy + radius * y) for x, y in _emblem_points(design.emblem)]
    draw.polygon(outline, fill=design.emblem_colour)
    if design.emblem in _HOLES:
        shift, hole = (radius * part for part in _HOLES[design.emblem])
        draw.ellipse((cx + shift - hole, cy - hole, cx + shift + hole, cy + hole), fill=design.plate)


_HOLES = {"ring": (0.0, 0.5), "flower": (0.0, 0.4), "crescent": (0.4, 0.8)}
"""Emblem -> how far a hole is shifted to the right, and its radius."""


def _emblem_points(emblem: str) -> list[tuple[float, float]]:
    """Return the outline of an emblem inside the unit circle; y points down."""
    t = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    if emblem in ("triangle", "diamond", "star"):
        corners = {"triangle": 3, "diamond": 4, "star": 10}[emblem]
        angles = np.arange(corners) * 2 * np.pi / corners
        radii = np.where(np.arange(corners) % 2, 0.42, 1.0) if emblem == "star" else np.ones(corners)
        x, y = radii * np.sin(angles), -radii * np.cos(angles)
    elif emblem == "heart":
        x = np.sin(t) ** 3
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    elif emblem == "drop":
        x, y = 0.75 * np.sin(t) * np.sin(t / 2), -np.cos(t)
    elif emblem == "leaf":
        x = np.cos(t) * (0.25 + 0.75 * np.abs(np.cos(t)))
        y = 0.5 * np.sin(t)
        x, y = 0.7 * (x + y), 0.7 * (y - x)
    elif emblem == "flower":
        radius = 0.75 + 0.25 * np.cos(6 * t)
        x, y = radius * np.cos(t), radius * np.sin(t)
    else:
        x, y = np.cos(t), np.sin(t)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _paint_closure(design: Design, picture: Image.Image) -> None:
    """Draw what closes the package: cap, lid, rims or seams."""
    w, h = picture.size
    draw = ImageDraw.Draw(picture)
    if design.shape == "bottle":
        draw.rectangle((0, 0, w, 0.13 * h), fill=design.cap)
    elif design.shape == "jar":
        draw.rectangle((0, 0, w, 0.19 * h), fill=design.cap)
        for x in np.arange(0.08, 0.94, 0.05):
            draw.line((x * w, 0.02 * h, x * w, 0.17 * h), fill=tuple(int(0.8 * c) for c in design.cap), width=2)
    elif design.shape == "can":
        draw.rectangle((0, 0, w, 0.07 * h), fill=(176, 180, 186))
        draw.rectangle((0, 0.93 * h, w, h), fill=(150, 154, 160))
    elif design.shape == "pouch":
        for start, end in ((0.0, 0.07), (0.95, 1.0)):
            draw.rectangle((0, start * h, w, end * h), fill=design.cap)
            for y in np.arange(start, end, 0.014):
                draw.line((0, y * h, w, y * h), fill=tuple(int(0.85 * c) for c in design.cap), width=2)
    else:
        draw.rectangle((0, 0, w, 0.035 * h), fill=tuple(int(0.75 * c) for c in design.ground))


def _shade(shape: str, picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the picture with the light and shadow of its body."""
    w, h = picture.size
    x, y = np.linspace(-1, 1, w)[None, :], np.linspace(-1, 1, h)[:, None]
    if shape in ("bottle", "can", "jar"):
        light = 0.55 + 0.5 * np.sqrt(1 - 0.9 * x**2) + 0.35 * np.exp(-(((x + 0.45) / 0.1) ** 2)) + 0 * y
    elif shape == "pouch":
        light = (
            0.97
            - 0.18 * x**4
            + 0.1 * np.sin(2.5 * x + 3 * y) * np.exp(-2 * y**2)
            + 0.12 * np.exp(-((x + 0.5) ** 2) * 20)
        )
    else:
        light = 1.02 - 0.08 * y - 0.05 * x
    edge = np.asarray(mask.filter(ImageFilter.GaussianBlur(0.02 * h)), dtype=np.float32) / 255
    light = light * (0.75 + 0.25 * edge)
    return Image.fromarray(np.clip(np.asarray(picture) * light[..., None], 0, 255).astype(np.uint8))
