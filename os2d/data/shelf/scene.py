"""Draw a photograph of shelves: products side by side, leaning, half hidden, badly lit, with their boxes.

Everything is drawn on a canvas of twice the final size. A map of which thing is seen at which pixel runs along, so the
visible share of every product is counted, not guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from os2d.data.shelf.light import photograph
from os2d.data.shelf.parameters import ShelfParameters
from os2d.data.shelf.product import Product

SCALE = 2
DIFFICULT_BELOW = 0.55  # visible share
DROPPED_BELOW = 0.2
NOBODY = -1


@dataclass(frozen=True)
class Item:
    """A product to place: its class id, or None for one that is in no class list."""

    product: Product
    class_id: int | None


@dataclass(frozen=True)
class PlacedBox:
    """Where a product of a class ended up, relative to the image, and whether it is hard to see."""

    class_id: int
    lx: float
    ty: float
    rx: float
    by: float
    difficult: bool


@dataclass(frozen=True)
class Scene:
    """A finished picture and the boxes of the products in it."""

    picture: Image.Image
    boxes: list[PlacedBox]


@dataclass
class _Canvas:
    picture: Image.Image
    owner: np.ndarray
    """Index of the item seen at a pixel, H x W; ``NOBODY`` elsewhere."""


@dataclass(frozen=True)
class _Placed:
    class_id: int | None
    hull_xyxy: tuple[float, float, float, float]
    pixels: int


def draw_scene(items: Sequence[Item], parameters: ShelfParameters, rng: np.random.Generator) -> Scene:
    """Return a shelf with the items on it, in random places; not all of them need to fit."""
    long, short = parameters.image_size, parameters.image_size * 3 // 4
    width, height = (long, short) if rng.random() < 0.75 else (short, long)
    canvas = _empty_shelf(width * SCALE, height * SCALE, rng)
    boards = _board_rows(canvas, rng)
    placed: list[_Placed] = []
    queue = list(items)
    for board_y in boards:
        placed += _fill_board(canvas, board_y, queue, len(placed), parameters, rng)
        _draw_board(canvas, board_y, rng)
    _hang_clutter(canvas, rng)
    boxes = [b for index, p in enumerate(placed) if (b := _box(p, index, canvas)) is not None]
    picture = canvas.picture.resize((width, height), Image.Resampling.BOX)
    return Scene(photograph(picture, parameters, rng), boxes)


def _empty_shelf(width: int, height: int, rng: np.random.Generator) -> _Canvas:
    """Return the back wall: a colour that darkens upwards, with panels or pegboard holes."""
    base = rng.uniform(70, 190) + rng.uniform(-18, 18, 3)
    fade = np.linspace(0.75, 1.05, height)[:, None, None]
    wall = np.clip(np.broadcast_to(base * fade, (height, width, 3)), 0, 255).astype(np.uint8)
    picture = Image.fromarray(wall)
    draw = ImageDraw.Draw(picture)
    darker = tuple(int(0.8 * c) for c in base)
    step = int(rng.uniform(24, 60))
    if rng.random() < 0.5:
        for x in range(step // 2, width, step):
            draw.line((x, 0, x, height), fill=darker, width=2)
    else:
        for y in range(step // 2, height, step // 2):
            for x in range(step // 2, width, step // 2):
                draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=darker)
    return _Canvas(picture, np.full((height, width), NOBODY, dtype=np.int16))


def _board_rows(canvas: _Canvas, rng: np.random.Generator) -> list[int]:
    """Return the heights of the boards, top to bottom."""
    height = canvas.picture.height
    count = 2 if canvas.picture.width > height else 3
    pitch = height / count
    return [int(pitch * (k + 1) - 0.09 * pitch + rng.uniform(-0.03, 0.03) * pitch) for k in range(count)]


def _fill_board(
    canvas: _Canvas,
    board_y: int,
    queue: list[Item],
    first_index: int,
    parameters: ShelfParameters,
    rng: np.random.Generator,
) -> list[_Placed]:
    """Stand items on one board from left to right until it is full; taken items leave the queue."""
    placed: list[_Placed] = []
    x = rng.uniform(-10, 25) * SCALE
    while queue:
        item = queue[0]
        side = rng.uniform(*parameters.product_px) * SCALE
        aspect = item.product.picture.height / item.product.picture.width
        width, height = side / aspect**0.5, side * aspect**0.5
        if x + 0.75 * width > canvas.picture.width:
            break
        queue.pop(0)
        quad = _stand(x, board_y + rng.uniform(-1, 4), width, height, parameters, rng)
        placed.append(_paste(canvas, item, quad, first_index + len(placed)))
        gap = rng.uniform(-0.5, -0.1) if rng.random() < 0.35 else rng.uniform(0.0, 0.16)
        x += width * (1 + gap)
    return placed


def _stand(
    x: float, y: float, width: float, height: float, parameters: ShelfParameters, rng: np.random.Generator
) -> np.ndarray:
    """Return the corners of a product on a board, 4 x 2: top-left, top-right, bottom-right, bottom-left."""
    corners = np.array([[0, -height], [width, -height], [width, 0], [0, 0]], dtype=float)
    limit = parameters.lean_degrees
    lean = rng.uniform(-limit, limit) if rng.random() < 0.4 else np.clip(rng.normal(0, limit / 6), -limit, limit)
    angle = np.deg2rad(lean)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    yaw, pitch = rng.uniform(-0.07, 0.07, size=2)
    corners[:, 1] *= np.array([1 + yaw, 1 - yaw, 1, 1])
    corners[:2, 0] += np.array([pitch, -pitch]) * width
    centre = np.array([width / 2, -height / 2])
    corners = (corners - centre) @ turn.T + centre
    corners[:, 1] -= corners[:, 1].max()
    standing: np.ndarray = corners + np.array([x, y])
    return standing


def _paste(canvas: _Canvas, item: Item, quad: np.ndarray, index: int) -> _Placed:
    """Draw a product into the quadrilateral, with the shadow it throws on what is behind it."""
    left, top = np.floor(quad.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(quad.max(axis=0)).astype(int) + 1
    size = (int(right - left), int(bottom - top))
    source = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * np.array(item.product.picture.size)
    coefficients = _perspective(quad - np.array([left, top]), source)
    warp = (size, Image.Transform.PERSPECTIVE, coefficients)
    picture = item.product.picture.transform(*warp, resample=Image.Resampling.BICUBIC)
    mask = item.product.mask.transform(*warp, resample=Image.Resampling.BILINEAR)
    shadow = mask.filter(ImageFilter.GaussianBlur(5)).point([int(0.4 * v) for v in range(256)])
    canvas.picture.paste((15, 12, 10), (int(left) + 5, int(top) + 2), shadow)
    canvas.picture.paste(picture, (int(left), int(top)), mask)
    outline = np.asarray(mask) > 127
    height, width = canvas.owner.shape
    rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    inside = outline[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    canvas.owner[rows, columns][inside] = index
    ys, xs = np.nonzero(outline)
    hull = (float(left + xs.min()), float(top + ys.min()), float(left + xs.max() + 1), float(top + ys.max() + 1))
    return _Placed(item.class_id, hull, len(ys))


def _perspective(target: np.ndarray, source: np.ndarray) -> list[float]:
    """Return the 8 numbers with which Pillow maps target points back to source points (both 4 x 2)."""
    rows, values = [], []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solution = np.linalg.solve(np.array(rows, dtype=float), np.array(values, dtype=float))
    return [float(number) for number in solution]


def _draw_board(canvas: _Canvas, y: int, rng: np.random.Generator) -> None:
    """Draw the front edge of a board with its price tags; both hide what stands behind them."""
    width, height = canvas.picture.size
    draw = ImageDraw.Draw(canvas.picture)
    rail = int(rng.uniform(9, 13)) * SCALE
    shade = rng.uniform(120, 235)
    tint = shade + rng.uniform(-12, 12, 3)
    draw.rectangle((0, y, width, y + rail), fill=_rgb(tint))
    draw.rectangle((0, y, width, y + 3), fill=_rgb(1.12 * tint))
    draw.rectangle((0, y + rail, width, y + rail + 6), fill=_rgb(0.45 * tint))
    canvas.owner[max(y, 0) : min(y + rail, height)] = NOBODY
    x = rng.uniform(5, 40) * SCALE
    while x < width:
        _draw_tag(canvas, int(x), y - (int(rng.uniform(2, 14)) if rng.random() < 0.5 else 0), rail, rng)
        x += rng.uniform(35, 85) * SCALE


def _draw_tag(canvas: _Canvas, x: int, y: int, rail: int, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(canvas.picture)
    width, height = int(rng.uniform(20, 30)) * SCALE, rail + int(rng.uniform(0, 6))
    offer = rng.random() < 0.3
    paper, ink = ((238, 202, 40), (190, 20, 20)) if offer else ((248, 248, 244), (40, 40, 48))
    draw.rounded_rectangle((x, y, x + width, y + height), radius=3, fill=paper, outline=(120, 120, 120))
    price = f"{int(rng.integers(0, 12))}.{int(rng.integers(0, 10))}9"
    draw.text((x + width / 2, y + height / 2), price, fill=ink, anchor="mm", font_size=0.75 * height, stroke_width=1)
    canvas.owner[max(y, 0) : y + height, max(x, 0) : x + width] = NOBODY


def _hang_clutter(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Hang things into the view that hide products: round offer signs and strips of film."""
    width, height = canvas.picture.size
    draw = ImageDraw.Draw(canvas.picture)
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(11, 18) * SCALE
        colour = _rgb(rng.uniform(30, 230, 3))
        if rng.random() < 0.6:
            box = (x - radius, y - radius, x + radius, y + radius)
            draw.ellipse(box, fill=colour, outline=(245, 245, 245), width=4)
            text = str(rng.choice(["-20%", "NEW", "2+1", "BIO"]))
            draw.text((x, y), text, fill=(250, 250, 250), anchor="mm", font_size=0.75 * radius, stroke_width=1)
            yy, xx = np.ogrid[0:height, 0:width]
            canvas.owner[(yy - y) ** 2 + (xx - x) ** 2 <= radius**2] = NOBODY
        else:
            half = int(rng.uniform(4, 8)) * SCALE
            draw.rectangle((x - half, 0, x + half, y), fill=colour)
            canvas.owner[0 : int(y), max(int(x) - half, 0) : int(x) + half] = NOBODY


def _box(placed: _Placed, index: int, canvas: _Canvas) -> PlacedBox | None:
    """Return the annotation of a product, or None for one of no class or hardly in sight."""
    visible = np.count_nonzero(canvas.owner == index) / placed.pixels
    if placed.class_id is None or visible < DROPPED_BELOW:
        return None
    width, height = canvas.picture.size
    lx, ty, rx, by = np.clip(np.array(placed.hull_xyxy) / [width, height, width, height], 0, 1).round(6).tolist()
    return PlacedBox(placed.class_id, lx, ty, rx, by, difficult=bool(visible < DIFFICULT_BELOW))


def _rgb(values: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = np.clip(values, 0, 255).astype(int).tolist()
    return red, green, blue
