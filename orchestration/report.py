"""One page per experiment that stands alone: tables, curves, pictures, configurations and their provenance."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestration.attempt import Attempt, now_ms
from orchestration.describe import Table
from orchestration.durable import make_folder, write_whole
from orchestration.errors import DescriptionError
from orchestration.plan import Plan, Trial
from orchestration.report_figures import Curve, colours_of, curves_svg, picture_address
from orchestration.signature import flatten
from orchestration.tables.build import Source, build_table, setting_title
from orchestration.tables.formats import render, to_html
from orchestration.tables.result import Cell
from orchestration.tables.sources import FolderResults, FolderSource

MOST_PICTURES = 12
OPEN_PANELS = 6


@dataclass(frozen=True)
class TrialStory:
    """A trial as the page tells it."""

    trial: Trial
    setting: str
    results: FolderResults | None
    attempts: Sequence[Attempt]
    folder: str

    @property
    def anchor(self) -> str:
        """The name of the trial's place on the page."""
        return f"trial-{self.trial.short}"

    @property
    def state(self) -> str:
        """The state of the trial."""
        return self.results.state if self.results else "planned"

    @property
    def reason(self) -> str:
        """Why it has no result."""
        return self.results.reason if self.results else ""

    @property
    def metrics(self) -> dict[str, tuple[int, float]]:
        """Each metric with the last step it was logged at and the value there."""
        curves = self.results.curves if self.results else {}
        return {name: (max(curve), curve[max(curve)]) for name, curve in sorted(curves.items())}

    @property
    def provenance(self) -> Mapping[str, object]:
        """What the last attempt recorded."""
        return self.attempts[-1].provenance if self.attempts else {}

    @property
    def seconds(self) -> float:
        """How long all attempts took together; one that is under way counts until now."""
        return sum(map(_attempt_ms, self.attempts)) / 1000


def write_report(runs_root: Path, plan: Plan, experiment: str, source: Source | None = None) -> Path:
    """Write ``reports/<experiment>/index.html`` in the runs folder and return its path.

    Args:
        runs_root: the folder of the trial folders.
        plan: what the experiment file describes.
        experiment: one of its experiments.
        source: where the tables read; None reads the trial folders.
    """
    trials = plan.trials_of(experiment)
    if not trials:
        known = ", ".join(sorted({entry.experiment for entry in plan.entries if entry.requested}))
        raise DescriptionError(f"report: there is no experiment {experiment!r}; the file has: {known}")
    path = runs_root.absolute() / "reports" / experiment / "index.html"
    found = FolderSource(runs_root).results(trials)
    stories = [_story(trial, found.get(trial.signature), runs_root.absolute(), path.parent) for trial in trials]
    tables = [table for table in plan.tables if experiment in table.experiment_names]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            experiment=experiment,
            written=time.strftime("%Y-%m-%d %H:%M %Z"),
            counts=Counter(story.state for story in stories),
            seconds=sum(story.seconds for story in stories),
            tables=[_table(table, plan, source or FolderSource(runs_root), stories) for table in tables],
            colours=_colours(stories),
            panels=_panels(stories, tables),
            open_panels=OPEN_PANELS,
            pictures=_pictures(stories),
            differences=differences(stories),
            settings=list(_colours(stories)),
            stories=stories,
        )
    )
    make_folder(path.parent)
    write_whole(path, page, durable=False)
    return path


def differences(stories: Sequence[TrialStory]) -> dict[str, list[object]]:
    """Return the configuration keys that are not the same everywhere, each with its value in every setting."""
    first: dict[str, Trial] = {}
    for story in sorted(stories, key=lambda story: story.trial.seed):
        first.setdefault(story.setting, story.trial)
    configs = [flatten(first[setting].config) for setting in dict.fromkeys(story.setting for story in stories)]
    keys = dict.fromkeys(key for config in configs for key in config)
    values = {key: [config.get(key) for config in configs] for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def _story(trial: Trial, results: FolderResults | None, root: Path, page_folder: Path) -> TrialStory:
    return TrialStory(
        trial=trial,
        setting=setting_title(trial),
        results=results,
        attempts=results.folder.attempts() if results else (),
        folder=os.path.relpath(root / trial.signature, page_folder),
    )


def _attempt_ms(attempt: Attempt) -> int:
    ended_ms = attempt.ended_ms or (now_ms() if attempt.is_live() else attempt.started_ms)
    return max(0, ended_ms - attempt.started_ms)  # the clocks of two machines may disagree


def _colours(stories: Sequence[TrialStory]) -> dict[str, str]:
    return colours_of(list(dict.fromkeys(story.setting for story in stories)))


def _table(table: Table, plan: Plan, source: Source, stories: Sequence[TrialStory]) -> dict[str, object]:
    result = build_table(table, plan, source)
    anchors = {story.trial.signature: story.anchor for story in stories}

    def link(cell: Cell) -> str | None:
        return next((f"#{anchors[signature]}" for signature in cell.signatures if signature in anchors), None)

    texts = {"LaTeX": render(result, "latex"), "Markdown": render(result, "markdown")}
    return {"title": result.title, "html": Markup(to_html(result, link)), "texts": texts}


def _panels(stories: Sequence[TrialStory], tables: Sequence[Table]) -> list[tuple[str, Markup]]:
    """Return one figure per metric that was logged at several steps, the tables' metrics first."""
    by_metric: dict[str, dict[str, list[Curve]]] = {}
    for story in stories:
        for name, curve in (story.results.curves if story.results else {}).items():
            by_metric.setdefault(name, {}).setdefault(story.setting, []).append(curve)
    first = dict.fromkeys(column.metric for table in tables for column in table.columns)
    order = [name for name in first if name in by_metric] + sorted(set(by_metric) - set(first))
    return [
        (name, Markup(curves_svg(by_metric[name], _colours(stories))))
        for name in order
        if any(len(curve) > 1 for curves in by_metric[name].values() for curve in curves)
    ]


def _pictures(stories: Sequence[TrialStory]) -> dict[str, dict[str, tuple[TrialStory, str]]]:
    """Return picture name -> setting -> (trial, address), for the first trial of each setting that has pictures.

    At most MOST_PICTURES names: the page must stay small enough to open.
    """
    shown: dict[str, TrialStory] = {}
    files: dict[str, list[Path]] = {}
    for story in stories:
        found = sorted((story.results.folder.artifacts / "pictures").glob("*.png")) if story.results else []
        if found and story.setting not in shown:
            shown[story.setting], files[story.setting] = story, found
    names = dict.fromkeys(file.name for found in files.values() for file in found)
    return {
        name: {
            setting: (shown[setting], picture_address(file))
            for setting, found in files.items()
            for file in found
            if file.name == name
        }
        for name in list(names)[:MOST_PICTURES]
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("orchestration"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["number"] = lambda value: f"{value:.5g}"
    return environment


def duration(seconds: float) -> str:
    """Return a length of time as people say it."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
