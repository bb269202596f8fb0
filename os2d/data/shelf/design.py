"""What tells one invented product from another: shape, colours, pattern, emblem and words."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

Colour = tuple[int, int, int]

SHAPES = ("carton", "bottle", "can", "pouch", "jar")
PATTERNS = ("stripes", "dots", "checks", "gradient", "blobs", "rays", "waves", "zigzag")
EMBLEMS = ("disc", "ring", "star", "diamond", "heart", "leaf", "drop", "crescent", "flower", "triangle")
LABELS = ("full", "band", "oval", "split")
SYLLABLES = ("ka", "lo", "mi", "zu", "ber", "tan", "vi", "no", "sol", "fen", "ra", "pix", "do", "lun", "che", "mo")
GOODS = (
    *("cocoa", "green tea", "muesli", "tomato", "lemonade", "coffee", "oat bites", "ginger", "berries", "olives"),
    *("noodles", "crackers", "almonds", "honey", "paprika", "mint", "vanilla", "apricot", "lentils", "sea salt"),
)
AMOUNTS = ("100 g", "200 g", "250 g", "330 ml", "400 g", "500 ml", "1 kg", "6 pcs")

_ASPECTS = {"carton": (0.95, 1.5), "bottle": (1.5, 1.75), "can": (1.15, 1.55), "pouch": (0.95, 1.4), "jar": (1.0, 1.35)}


@dataclass(frozen=True)
class Design:
    """One product; two products differ in several of these."""

    shape: str
    aspect: float
    """Height over width."""
    label: str
    pattern: str
    pattern_cells: float
    """How often the pattern repeats over the width."""
    pattern_degrees: float
    ground: Colour
    figure: Colour
    plate: Colour
    ink: Colour
    cap: Colour
    emblem: str
    emblem_colour: Colour
    emblem_row: float
    """Height of the emblem's centre, from 0 (top of the label) to 1."""
    brand: str
    goods: str
    amount: str
    variation: int
    """Seeds what the fields above leave open, such as the places of blobs."""


def invent_design(rng: np.random.Generator) -> Design:
    """Return a random product."""
    shape = str(rng.choice(SHAPES))
    hue, lightness, saturation = rng.random(), rng.uniform(0.3, 0.62), rng.uniform(0.4, 0.85)
    second_hue = hue + rng.choice([0.08, -0.08, 0.33, -0.33, 0.5])
    ground = _colour(hue, lightness, saturation)
    figure = _colour(second_hue, float(np.clip(lightness + rng.choice([-0.22, 0.25]), 0.15, 0.85)), saturation)
    plate = _colour(hue + rng.uniform(-0.05, 0.05), 0.93, 0.4) if rng.random() < 0.7 else _colour(hue, 0.14, 0.5)
    dark_plate = sum(plate) < 300
    return Design(
        shape=shape,
        aspect=float(rng.uniform(*_ASPECTS[shape])),
        label=str(rng.choice(LABELS)),
        pattern=str(rng.choice(PATTERNS)),
        pattern_cells=float(rng.uniform(2.5, 6.0)),
        pattern_degrees=float(rng.choice([0.0, 90.0, 45.0, -45.0])),
        ground=ground,
        figure=figure,
        plate=plate,
        ink=_colour(second_hue, 0.85 if dark_plate else 0.2, 0.7),
        cap=_colour(rng.choice([hue, second_hue, 0.1]), rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.8)),
        emblem=str(rng.choice(EMBLEMS)),
        emblem_colour=_colour(rng.random(), rng.uniform(0.4, 0.6), 0.8),
        emblem_row=float(rng.choice([0.12, 0.17, 0.88])),
        brand="".join(rng.choice(SYLLABLES, size=int(rng.integers(2, 4)))).capitalize()[:7],
        goods=str(rng.choice(GOODS)),
        amount=str(rng.choice(AMOUNTS)),
        variation=int(rng.integers(2**31)),
    )


def invent_sibling(design: Design, rng: np.random.Generator) -> Design:
    """Return another flavour of a product: the same package, ground colour and brand, but another print on it."""
    other = invent_design(rng)
    return replace(
        design,
        pattern=str(rng.choice([p for p in PATTERNS if p != design.pattern])),
        pattern_cells=other.pattern_cells,
        pattern_degrees=other.pattern_degrees,
        figure=design.figure if rng.random() < 0.4 else _colour(rng.random(), rng.uniform(0.2, 0.8), 0.65),
        emblem=str(rng.choice([e for e in EMBLEMS if e != design.emblem])),
        emblem_colour=other.emblem_colour,
        goods=other.goods,
        variation=other.variation,
    )


def _colour(hue: float, lightness: float, saturation: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue % 1.0, lightness, saturation)
    return int(red * 255), int(green * 255), int(blue * 255)
