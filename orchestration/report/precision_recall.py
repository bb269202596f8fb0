"""Precision over recall of every data set, a line per setting; evaluations leave the curves as files.

``artifacts/precision_recall/<data set>.json`` has ``dataset``, ``iou_threshold``, ``recall`` (rising, from 0 to 1) and
``curves``: name -> ``precision``, as long as ``recall``, and ``average_precision``; null where nothing is to be found.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from statistics import mean
from typing import Any

from markupsafe import Markup

from orchestration.report.axes import Scale
from orchestration.report.figures import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Look, frame, looks_of, path_of, svg
from orchestration.report.stories import Chapter

FOLDER = "precision_recall"

MOST_LINES = 10
"""In one figure; of more settings the best are drawn."""

FEWEST_EPISODES = 4
"""So many data sets whose names differ in the last number alone are one: their curves are averaged."""

MOST_THIN_LINES = 8

TITLES = {"mean_over_classes": "mean over classes", "pooled_classes": "all classes in one ranking"}

X = Scale(0.0, 1.0, LEFT, WIDTH - RIGHT)
Y = Scale(0.0, 1.0, HEIGHT - BOTTOM, TOP)


@dataclass(frozen=True)
class LegendEntry:
    """A setting of a figure: how it is drawn, and its average precision, the mean over seeds and episodes."""

    label: str
    look: Look
    average_precision: float
    seeds: int


@dataclass(frozen=True)
class Panel:
    """One figure of a data set: the settings that are drawn, the best first, and how many are not."""

    title: str
    figure: Markup
    legend: Sequence[LegendEntry]
    left_out: int


@dataclass(frozen=True)
class DatasetCurves:
    """The figures of a data set, one per kind of curve."""

    dataset: str
    iou_threshold: float
    panels: Sequence[Panel]


@dataclass
class _Setting:
    """The curves of the seeds of a setting."""

    recall: Sequence[float]
    precisions: list[Sequence[float]] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)


Settings = dict[str, _Setting]


def precision_recall(chapters: Sequence[Chapter]) -> list[DatasetCurves]:
    """Return the figures of every data set that a finished trial has left curves of.

    Of episodes, settings with the same tags are one line: they share the episodes.
    """
    read = [
        (chapter.label(setting) if len(chapters) > 1 else setting, story, content)
        for chapter in chapters
        for setting, stories in chapter.settings.items()
        for story in stories
        if story.state == "done"
        for content in _files(story.artifacts)
    ]
    families = _families({content["dataset"] for *_, content in read})
    found: dict[tuple[str, float], dict[str, Settings]] = {}
    for label, story, content in read:
        dataset = families.get(content["dataset"], content["dataset"])
        told = ", ".join(story.trial.tags.values()) if content["dataset"] in families else ""
        _add(found.setdefault((dataset, content["iou_threshold"]), {}), told or label, content)
    return [
        DatasetCurves(dataset, threshold, [_panel(kind, kinds[kind]) for kind in TITLES if kind in kinds])
        for (dataset, threshold), kinds in sorted(found.items())
    ]


def _families(datasets: Iterable[str]) -> dict[str, str]:
    """Return data set -> name of all those that differ from it in the last number alone, if they are many."""
    family_of = {dataset: re.sub(r"\d+$", "*", dataset) for dataset in datasets}
    members = Counter(family_of.values())
    return {dataset: family for dataset, family in family_of.items() if members[family] >= FEWEST_EPISODES}


def _files(artifacts: Path | None) -> list[dict[str, Any]]:
    if artifacts is None:
        return []
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted((artifacts / FOLDER).glob("*.json"))]


def _add(kinds: dict[str, Settings], label: str, content: dict[str, Any]) -> None:
    for kind, curve in content["curves"].items():
        if curve["average_precision"] is not None:
            setting = kinds.setdefault(kind, {}).setdefault(label, _Setting(content["recall"]))
            setting.precisions.append(curve["precision"])
            setting.areas.append(curve["average_precision"])


def _panel(kind: str, settings: Settings) -> Panel:
    best = sorted(settings, key=lambda label: -mean(settings[label].areas))[:MOST_LINES]
    looks = looks_of([label for label in settings if label in best])
    parts = [frame(X, Y, "recall", "precision")]
    parts += [_drawn(label, settings[label], looks[label]) for label in reversed(best)]
    legend = [
        LegendEntry(label, looks[label], mean(settings[label].areas), len(settings[label].areas)) for label in best
    ]
    title = TITLES[kind]
    return Panel(
        title, Markup(svg(parts, WIDTH, HEIGHT, f"precision over recall, {title}")), legend, len(settings) - len(best)
    )


def _drawn(label: str, setting: _Setting, look: Look) -> str:
    """Return the mean over seeds, and each seed as a thin line when they are several but not many."""
    xs = [X(recall) for recall in setting.recall]
    parts = [f"<g><title>{escape(label)}</title>"]
    if 1 < len(setting.precisions) <= MOST_THIN_LINES:
        for precision in setting.precisions:
            parts.append(f'<path class="line thin" {look.attributes} d="{path_of(xs, [Y(p) for p in precision])}"/>')
    means = [Y(mean(of_recall)) for of_recall in zip(*setting.precisions, strict=True)]
    return "".join([*parts, f'<path class="line" {look.attributes} d="{path_of(xs, means)}"/></g>'])
