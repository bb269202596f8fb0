"""The page of an experiment file: tables, curves, sweeps, pictures, cost, settings, trials and their provenance."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestration.durable import make_folder, write_whole
from orchestration.plan import Plan
from orchestration.report.cost import costs_of
from orchestration.report.figures import legend_sample
from orchestration.report.learning_curves import learning_curves, mining_curves
from orchestration.report.pictures import Album
from orchestration.report.precision_recall import precision_recall
from orchestration.report.settings import differences
from orchestration.report.stories import Chapter, KnownResults, chapters_of
from orchestration.report.sweeps import sweep_figures
from orchestration.signature import SHOWN_DIGITS
from orchestration.sweep.table import sweep_tables
from orchestration.tables.build import build_table
from orchestration.tables.formats import Format, render, to_html
from orchestration.tables.result import Cell, TableResult
from orchestration.watch import duration

FORMATS: dict[str, Format] = {"LaTeX": "latex", "Markdown": "markdown", "CSV": "csv", "JSON": "json"}


def write_report(runs_root: Path, plan: Plan, name: str, tracking_uri: str | None = None) -> Path:
    """Write ``reports/<name>/index.html`` in the runs folder and return its path.

    The page shows all that the plan requests, and the trials that are needed for it. Results are read from the trial
    folders; the tracking store only gives addresses, and need not answer.

    Args:
        runs_root: the folder of the trial folders.
        plan: what an experiment file describes.
        name: of the page, and its title.
        tracking_uri: the store that trials link to; None: the usual one.
    """
    root = runs_root.absolute()
    path = root / "reports" / name / "index.html"
    known = KnownResults(root)
    chapters = chapters_of(plan, known, root, path.parent, tracking_uri)
    stories = {story.trial.signature: story for chapter in reversed(chapters) for story in chapter.stories}
    tables = [*(build_table(table, plan, known) for table in plan.tables), *sweep_tables(plan, known)]
    metrics = [column.metric for table in plan.tables for column in table.columns]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=name,
            written=time.strftime("%Y-%m-%d %H:%M %Z"),
            counts=Counter(story.state for story in stories.values()),
            seconds=sum(story.seconds for story in stories.values()),
            tables=[_table(table, chapters) for table in tables],
            precision_recall=precision_recall(chapters),
            learning_curves=learning_curves(chapters, metrics),
            sweeps=sweep_figures(chapters),
            mining=mining_curves(chapters),
            album=Album(chapters),
            costs=costs_of(chapters),
            differences=differences(chapters),
            chapters=chapters,
            homes={signature: story.trial.experiment for signature, story in stories.items()},
        )
    )
    make_folder(path.parent)
    write_whole(path, page, durable=False)
    return path


def report_name(plan: Plan, file: Path) -> str:
    """Return what the page about a plan is called: like its experiment, or like the file if it has several."""
    requested = dict.fromkeys(entry.experiment for entry in plan.entries if entry.requested)
    return next(iter(requested)) if len(requested) == 1 else file.stem


def _table(result: TableResult, chapters: Sequence[Chapter]) -> dict[str, object]:
    anchors = {story.trial.signature: story.anchor for chapter in chapters for story in chapter.stories}

    def link(cell: Cell) -> str | None:
        return next((f"#{anchors[signature]}" for signature in cell.signatures if signature in anchors), None)

    texts = {title: render(result, form) for title, form in FORMATS.items()}
    return {"title": result.title, "html": Markup(to_html(result, link)), "texts": texts}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("orchestration"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["short"] = lambda signature: signature[:SHOWN_DIGITS]
    environment.filters["number"] = lambda value: f"{value:.5g}"
    environment.filters["sample"] = lambda look: Markup(legend_sample(look))
    return environment
