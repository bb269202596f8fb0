"""Addresses of MLflow's pages on runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from orchestration.tracking.store_location import StoreLocation

DEFAULT_PORT = 5000


class RunPlace(NamedTuple):
    """Where a run is in the store."""

    experiment_id: str
    run_id: str


def pages_of(location: StoreLocation) -> str:
    """Return where the pages of a store are: its server, or where ``oneshot dashboard`` shows it by default."""
    return location.shown.rstrip("/") if location.is_server else f"http://127.0.0.1:{DEFAULT_PORT}"


def address_of(pages: str, runs: Sequence[RunPlace]) -> str:
    """Return the page of a run, or the one that compares several; empty without runs."""
    if not runs:
        return ""
    if len(runs) == 1:
        return f"{pages}/#/experiments/{runs[0].experiment_id}/runs/{runs[0].run_id}"
    ids = quote(json.dumps([run.run_id for run in runs], separators=(",", ":")))
    experiments = quote(json.dumps(sorted({run.experiment_id for run in runs}), separators=(",", ":")))
    return f"{pages}/#/compare-runs?runs={ids}&experiments={experiments}"
