"""Tables beside the runs they are made of: artifacts of the parent run of an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestration.tables.formats import Format, render
from orchestration.tables.result import TableResult
from orchestration.tracking.store_location import StoreLocation
from orchestration.tracking.trial_record import KIND

SUFFIXES: Mapping[Format, str] = {"markdown": "md", "latex": "tex", "csv": "csv", "html": "html", "json": "json"}


def keep_tables(
    runs_root: Path, tables: Sequence[TableResult], homes: Mapping[str, Sequence[str]], tracking_uri: str | None = None
) -> None:
    """Put tables, in every format, beside the parent runs of their experiments: ``tables/<name>.md`` and so on.

    Args:
        runs_root: the folder of the trial folders.
        tables: as they were built.
        homes: name of a table -> its experiments; a table that is not named belongs to the experiment of its name.
        tracking_uri: as for a sync.

    Raises:
        StoreError: the store cannot be used.
    """
    from orchestration.tracking.mlflow_store import MlflowStore  # imports MLflow, which takes more than a second

    store = MlflowStore(StoreLocation.resolve(runs_root, tracking_uri))
    texts: dict[str, dict[str, str]] = {}
    for table in tables:
        for experiment in homes.get(table.name, (table.name,)):
            written = {f"tables/{table.name}.{suffix}": render(table, form) for form, suffix in SUFFIXES.items()}
            texts.setdefault(experiment, {}).update(written)
    for experiment, files in texts.items():
        experiment_id = store.experiment_id(experiment)
        parents = store.runs({KIND: "experiment"}, [experiment_id]) if experiment_id is not None else []
        if parents:
            store.keep_texts(parents[0], files)
