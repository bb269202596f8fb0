"""Scales of figures: from values to places, and where a line of the grid is worth drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

LOGARITHMIC_FROM = 1000.0
"""Positive values that span so many times the least one are drawn on a logarithmic axis."""

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
TICKS = 6
"""About so many values of an axis are marked."""

MARGIN = 0.04


@dataclass(frozen=True)
class Scale:
    """An axis: ``low`` and ``high`` are drawn at ``start`` and ``end``; of whole numbers only those are marked."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False
    is_whole: bool = False

    def __call__(self, value: float) -> float:
        """Return where a value is drawn."""
        low, high, value = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return about :data:`TICKS` round values on the axis."""
        if self.is_log:
            return _decades(self.low, self.high)
        ticks = _round_values(self.low, self.high)
        return [tick for tick in ticks if tick.is_integer()] if self.is_whole else ticks


def scale_of(
    values: Iterable[float], start: float, end: float, *, log_from: float = LOGARITHMIC_FROM, margin: float = MARGIN
) -> Scale:
    """Return a scale that shows all finite values; without any, from 0 to 1."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if low > 0 and high / low >= log_from:
        return Scale(low / (high / low) ** margin, high * (high / low) ** margin, start, end, is_log=True)
    if low == high:
        half = abs(low) / 10 or 0.5
        return Scale(low - half, high + half, start, end)
    room = (high - low) * margin
    return Scale(low - room, high + room, start, end)


def tick_text(value: float) -> str:
    """Return a short text for a round value.

    >>> [tick_text(value) for value in (0.25, 20_000, 1_500_000, 0.0002)]
    ['0.25', '20k', '1.5M', '2e-4']
    """
    if value and abs(value) >= 10_000:
        return f"{value / 1000:g}k" if abs(value) < 1_000_000 else f"{value / 1_000_000:g}M"
    if value and abs(value) < 0.001:
        power = math.floor(math.log10(abs(value)))
        return f"{value / 10**power:.6g}e{power}"
    return f"{value:.6g}"


def _round_values(low: float, high: float) -> list[float]:
    raw = (high - low) / TICKS
    power = 10 ** math.floor(math.log10(raw))
    step = next(step * power for step in STEPS if step * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, round((last - first + 1) / TICKS))
    return [10.0**k for k in range(first, last + 1, every)]
