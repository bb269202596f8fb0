"""Every metric of an experiment over its steps; what a search for hard patches found has a part of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from orchestration.report.figures import Curve, Line, Look, curves_svg, looks_of
from orchestration.report.stories import Chapter
from orchestration.report.sweeps import score_looks

MINING = "mining_"
"""What the names of metrics of mining begin with."""

MOST_PANELS, FEWEST_PANELS = 120, 4
"""On the whole page, in equal shares; and of each experiment at least."""

OPEN_PANELS, OPEN_PANELS_OF_ONE = 3, 6
"""Of each experiment; of one that has the page for itself."""

TELLING = ("loss_running", "mAP", "AP", "loss")
"""Beginnings of the names that come first, in this order, where no table asks for others."""

TIME = "time"


@dataclass(frozen=True)
class CurvesOfExperiment:
    """The figures of an experiment.

    Args:
        chapter: the experiment.
        looks: setting -> how it is drawn; empty for a sweep, whose lines are coloured by their score.
        shown: name of a metric and its figure.
        folded: the same, for those that are not seen at once.
        left_out: how many metrics have no figure.
    """

    chapter: Chapter
    looks: Mapping[str, Look]
    shown: Sequence[tuple[str, Markup]]
    folded: Sequence[tuple[str, Markup]]
    left_out: int


def learning_curves(chapters: Sequence[Chapter], first: Iterable[str]) -> list[CurvesOfExperiment]:
    """Return the figures of each experiment that has any, the metrics that tables show first."""
    return _figures(chapters, tuple(dict.fromkeys(first)), lambda name: not name.startswith(MINING))


def mining_curves(chapters: Sequence[Chapter]) -> list[CurvesOfExperiment]:
    """Return the figures about mining of each experiment that mines."""
    return _figures(chapters, (), lambda name: name.startswith(MINING))


def _figures(
    chapters: Sequence[Chapter], first: Sequence[str], belongs: Callable[[str], bool]
) -> list[CurvesOfExperiment]:
    metrics = {
        chapter.experiment: names for chapter in chapters if (names := _metrics_over_steps(chapter, first, belongs))
    }
    most = max(FEWEST_PANELS, MOST_PANELS // max(1, len(metrics)))
    shown = OPEN_PANELS if len(metrics) > 1 else OPEN_PANELS_OF_ONE
    return [
        _of_experiment(chapter, metrics[chapter.experiment][:most], shown, len(metrics[chapter.experiment]) - most)
        for chapter in chapters
        if chapter.experiment in metrics
    ]


def _metrics_over_steps(chapter: Chapter, first: Sequence[str], belongs: Callable[[str], bool]) -> list[str]:
    """Return the metrics worth a figure: what tables and sweeps ask for, the telling ones, others, and times last."""
    names = {
        name for story in chapter.stories for name, curve in story.curves.items() if belongs(name) and _develops(curve)
    }
    wanted = [chapter.sweep.metric, *first] if chapter.sweep else first
    known = [name for name in dict.fromkeys(wanted) if name in names]
    return [*known, *sorted(names - set(known), key=_importance)]


def _importance(name: str) -> tuple[bool, int, str]:
    place = next((k for k, beginning in enumerate(TELLING) if name.startswith(beginning)), len(TELLING))
    return TIME in name, place, name


def _develops(curve: Curve) -> bool:
    """Whether there is more than a number that was told again at the end."""
    return len(curve) > 2 or len(set(curve.values())) > 1


def _of_experiment(chapter: Chapter, metrics: Sequence[str], shown: int, left_out: int) -> CurvesOfExperiment:
    looks = {} if chapter.sweep else looks_of(list(chapter.settings))
    panels = [(name, Markup(curves_svg(_lines(chapter, name, looks), f"{name} over steps"))) for name in metrics]
    return CurvesOfExperiment(chapter, looks, panels[:shown], panels[shown:], max(0, left_out))


def _lines(chapter: Chapter, metric: str, looks: Mapping[str, Look]) -> list[Line]:
    if chapter.sweep:
        of_trial = {story.trial.signature: story for story in chapter.stories}
        return [
            Line(of_trial[signature].trial.name, look, [curve])
            for signature, look in score_looks(chapter, chapter.sweep).items()
            if (curve := of_trial[signature].curves.get(metric))
        ]
    return [
        Line(setting, looks[setting], curves)
        for setting, stories in chapter.settings.items()
        if (curves := [story.curves[metric] for story in stories if metric in story.curves])
    ]
