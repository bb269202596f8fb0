"""Sweeps as parallel coordinates: an axis per searched key, the metric last; a line per trial, coloured by score."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from markupsafe import Markup

from orchestration.describe import Sweep
from orchestration.report.axes import scale_of, tick_text
from orchestration.report.figures import Look, path_of, svg
from orchestration.report.stories import Chapter, TrialStory

WIDTH, HEIGHT, TOP, BOTTOM, SIDE = 900.0, 330.0, 34.0, 14.0, 80.0

LEAST_DISTANCE, MOST_DISTANCE = 130.0, 360.0
"""Between two axes; a figure of more axes than fit is wider."""

FEW_VALUES = 6
"""Up to so many different numbers on an axis are drawn one beside the other, whatever lies between them."""

LOGARITHMIC_FROM = 50.0

COLOURS = ((0x94, 0xA3, 0xB8), (0x3B, 0x82, 0xF6), (0x8B, 0x5C, 0xF6), (0xEC, 0x48, 0x99))
"""From the worst score to the best; all of them can be seen on white and on black."""

PRUNED, UNFINISHED = "6 5", "1.5 4"
"""Dashes of the lines of trials that were stopped early, and of those that are not done for another reason."""


@dataclass(frozen=True)
class SweepFigure:
    """A sweep as the page shows it.

    Args:
        chapter: the experiment.
        figure: parallel coordinates.
        worst: score of the palest line.
        best: score of the brightest line.
        counts: state -> number of trials that are drawn.
        left_out: how many trials have no score yet.
    """

    chapter: Chapter
    figure: Markup
    worst: float
    best: float
    counts: Mapping[str, int]
    left_out: int


@dataclass(frozen=True)
class _Axis:
    title: str
    place: Callable[[Any], float]
    ticks: Sequence[tuple[str, float]]
    is_last: bool = False


def sweep_figures(chapters: Sequence[Chapter]) -> list[SweepFigure]:
    """Return a figure for each sweep of which at least one trial has a score."""
    found = (_figure_of(chapter, chapter.sweep) for chapter in chapters if chapter.sweep is not None)
    return [figure for figure in found if figure is not None]


def scores_of(chapter: Chapter, sweep: Sweep) -> dict[str, float]:
    """Return signature -> last finite value of the metric, the worst one first."""
    scores = {}
    for story in chapter.stories:
        finite = {step: value for step, value in story.curves.get(sweep.metric, {}).items() if math.isfinite(value)}
        if finite:
            scores[story.trial.signature] = finite[max(finite)]
    return dict(sorted(scores.items(), key=lambda item: item[1], reverse=sweep.mode == "min"))


def score_looks(chapter: Chapter, sweep: Sweep) -> dict[str, Look]:
    """Return signature -> look: the colour by the rank of the score, dashed unless the trial is done."""
    scores = scores_of(chapter, sweep)
    states = {story.trial.signature: story.state for story in chapter.stories}
    most = max(1, len(scores) - 1)
    return {signature: Look(_colour(k / most), _dash(states[signature])) for k, signature in enumerate(scores)}


def _dash(state: str) -> str:
    return {"done": "", "pruned": PRUNED}.get(state, UNFINISHED)


def _colour(share: float) -> str:
    place = share * (len(COLOURS) - 1)
    k = min(int(place), len(COLOURS) - 2)
    mixed = (a + (b - a) * (place - k) for a, b in zip(COLOURS[k], COLOURS[k + 1], strict=True))
    return "#" + "".join(f"{round(part):02x}" for part in mixed)


def _figure_of(chapter: Chapter, sweep: Sweep) -> SweepFigure | None:
    scores = scores_of(chapter, sweep)
    keys = _searched_keys(chapter.stories)
    if not scores or not keys:
        return None
    stories = {story.trial.signature: story for story in chapter.stories}
    drawn = [stories[signature] for signature in scores]
    titles = _short_names(keys)
    axes = [_axis(title, [story.trial.point.get(key) for story in drawn]) for key, title in titles.items()]
    axes.append(_metric_axis(sweep, list(scores.values())))
    looks = score_looks(chapter, sweep)
    best = drawn[-1].trial.signature
    distance = min(MOST_DISTANCE, max(LEAST_DISTANCE, (WIDTH - 2 * SIDE) / (len(axes) - 1)))
    xs = [SIDE + k * distance for k in range(len(axes))]
    parts = ['<g class="parallel">']
    for story in drawn:
        values = [*(story.trial.point.get(key) for key in keys), scores[story.trial.signature]]
        places = path_of(xs, [axis.place(value) for axis, value in zip(axes, values, strict=True)])
        parts.append(
            _line(
                story,
                scores[story.trial.signature],
                places,
                looks[story.trial.signature],
                story.trial.signature == best,
            )
        )
    parts += ["</g>", *(_drawn_axis(axis, x) for axis, x in zip(axes, xs, strict=True))]
    figure = svg(
        parts, xs[-1] + SIDE, HEIGHT, f"{sweep.metric} of the trials of {chapter.experiment} over their settings"
    )
    ordered = list(scores.values())
    counts = Counter(story.state for story in drawn)
    return SweepFigure(chapter, Markup(figure), ordered[0], ordered[-1], counts, len(stories) - len(drawn))


def _searched_keys(stories: Sequence[TrialStory]) -> list[str]:
    """Return the keys of the points that are not the same everywhere."""
    keys = dict.fromkeys(key for story in stories for key in story.trial.point)
    return [key for key in keys if len({repr(story.trial.point.get(key)) for story in stories}) > 1]


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return key -> its last word, or the whole key where two end alike."""
    last = Counter(key.rpartition(".")[2] for key in keys)
    return {key: key.rpartition(".")[2] if last[key.rpartition(".")[2]] == 1 else key for key in keys}


def _axis(title: str, values: Sequence[Any]) -> _Axis:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        distinct = sorted(set(values))
        if len(distinct) > FEW_VALUES:
            scale = scale_of(values, HEIGHT - BOTTOM, TOP, log_from=LOGARITHMIC_FROM, margin=0.0)
            return _Axis(title, scale, [(tick_text(tick), scale(tick)) for tick in scale.ticks()])
    else:
        distinct = list({repr(value): value for value in values}.values())
    return _listed_axis(title, distinct)


def _listed_axis(title: str, distinct: Sequence[Any]) -> _Axis:
    """Return an axis on which the values stand one above the other."""
    room = (HEIGHT - BOTTOM - TOP) / max(1, len(distinct) - 1)
    middle = (HEIGHT - BOTTOM + TOP) / 2
    places = {repr(v): HEIGHT - BOTTOM - k * room if len(distinct) > 1 else middle for k, v in enumerate(distinct)}
    texts = {repr(v): tick_text(v) if isinstance(v, float) else "–" if v is None else str(v) for v in distinct}
    return _Axis(title, lambda value: places[repr(value)], [(texts[name], place) for name, place in places.items()])


def _metric_axis(sweep: Sweep, scores: Sequence[float]) -> _Axis:
    """Return the axis of the score, the best one at the top."""
    ends = (HEIGHT - BOTTOM, TOP) if sweep.mode == "max" else (TOP, HEIGHT - BOTTOM)
    scale = scale_of(scores, *ends)
    return _Axis(sweep.metric, scale, [(tick_text(tick), scale(tick)) for tick in scale.ticks()], is_last=True)


def _line(story: TrialStory, score: float, places: str, look: Look, is_best: bool) -> str:
    told = escape(f"{story.trial.name}, {story.state}: {score:.5g}")
    best = ' class="best"' if is_best else ""
    return (
        f'<a href="#{story.anchor}"{best}><title>{told}</title>'
        f'<path class="reach" d="{places}"/><path class="line" {look.attributes} d="{places}"/></a>'
    )


def _drawn_axis(axis: _Axis, x: float) -> str:
    """Return an axis with its values on the left, or outside the figure if it is the last one."""
    outwards, anchor = (1, "start") if axis.is_last else (-1, "end")
    parts = [
        f'<path class="axis" d="M{x:.1f} {TOP:g}V{HEIGHT - BOTTOM:g}"/>',
        f'<text class="key" x="{x:.1f}" y="16" text-anchor="middle">{escape(axis.title)}</text>',
    ]
    for text, y in axis.ticks:
        place = f'x="{x + 8 * outwards:.1f}" y="{y:.1f}" dy=".32em" text-anchor="{anchor}"'
        parts.append(f'<path class="axis" d="M{x:.1f} {y:.1f}h{4 * outwards}"/>')
        parts.append(f'<text class="tick halo" {place}>{escape(text)}</text>')
    return "".join(parts)
