"""What is shown when trials have ended: tables, the report, a picture, and where to look further."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from orchestration.plan import Plan
from orchestration.report.page import report_name, write_report
from orchestration.runs import Runs
from orchestration.sweep.table import sweep_tables
from orchestration.tables.artifacts import keep_tables
from orchestration.tables.build import build_table
from orchestration.tables.contract import Source
from orchestration.tables.formats import to_terminal
from orchestration.tables.result import TableResult
from orchestration.tables.sources import FolderSource, MlflowSource
from orchestration.tracking.store_location import StoreAwayError, StoreError, StoreLocation
from orchestration.tracking.sync import Follower, sync

MOST_PICTURES = 3


@contextmanager
def following(plan: Plan, runs_root: Path, tracking_uri: str | None, notes: Console) -> Iterator[Callable[[], None]]:
    """Keep MLflow up to date while trials run; yields what to call every now and then, which never waits.

    A store that can never be used as it is named is an error before anything runs. For one that does not answer, the
    trials do not wait.

    Raises:
        StoreError: the tracking store cannot be used.
    """
    try:
        StoreLocation.resolve(runs_root, tracking_uri).require_usable()
    except StoreAwayError as error:
        _note(notes, f"warning: {error}; the trials run all the same, and MLflow gets everything when it answers")
    follower = Follower(runs_root, _experiments(plan), tracking_uri)
    try:
        yield follower.tick
    finally:
        _note(notes, "writing to MLflow")
        follower.close()


def table_results(plan: Plan, runs_root: Path, tracking_uri: str | None, *, from_folders: bool) -> list[TableResult]:
    """Return every table of a plan, read from MLflow after a sync and kept there too, or from the trial folders.

    Raises:
        StoreError: the tracking store cannot be used.
    """
    if from_folders:
        return _tables(plan, FolderSource(runs_root))
    sync(runs_root, _experiments(plan), tracking_uri)
    tables = _tables(plan, MlflowSource(runs_root, tracking_uri))
    keep_tables(runs_root, tables, {table.name: table.experiment_names for table in plan.tables}, tracking_uri)
    return tables


def _tables(plan: Plan, source: Source) -> list[TableResult]:
    return [*(build_table(table, plan, source) for table in plan.tables), *sweep_tables(plan, source)]


def show_results(
    plan: Plan, file: Path, runs_root: Path, tracking_uri: str | None, output: Console, notes: Console
) -> None:
    """Print the tables of a plan to ``output``, and to ``notes`` the paths of report and pictures and the dashboard.

    An unreachable store is told and the folders are read instead: both give the same tables.
    """
    try:
        tables = table_results(plan, runs_root, tracking_uri, from_folders=False)
    except StoreError as error:
        _note(notes, f"warning: {error}; the table is read from the trial folders, run `oneshot sync` later")
        tables = table_results(plan, runs_root, tracking_uri, from_folders=True)
    for table in tables:
        output.print(to_terminal(table))
    _note(notes, f"report:    {write_report(runs_root, plan, report_name(plan, file), tracking_uri)}")
    for picture in _pictures(plan, runs_root):
        _note(notes, f"picture:   {picture}")
    for experiment in _requested_experiments(plan):
        words = ["oneshot", "dashboard", experiment]
        if runs_root.absolute() != Path("runs").absolute():
            words += ["--runs", str(runs_root)]
        if tracking_uri:
            words += ["--tracking-uri", tracking_uri]
        _note(notes, f"dashboard: {shlex.join(words)}")


def _note(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _pictures(plan: Plan, runs_root: Path) -> Sequence[Path]:
    """Return the first pictures of the last requested trial that has any; the report shows more."""
    runs = Runs(runs_root)
    for entry in reversed([entry for entry in plan.entries if entry.requested]):
        pictures = sorted((runs.folder(entry.signature).artifacts / "pictures").glob("*.png"))
        if pictures:
            return pictures[:MOST_PICTURES]
    return ()


def _experiments(plan: Plan) -> list[str]:
    return list(dict.fromkeys(entry.experiment for entry in plan.entries))


def _requested_experiments(plan: Plan) -> list[str]:
    return list(dict.fromkeys(entry.experiment for entry in plan.entries if entry.requested))
