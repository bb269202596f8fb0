"""The MLflow user interface on the store of the runs."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from orchestration.tracking.pages import DEFAULT_PORT
from orchestration.tracking.store_location import StoreLocation

SERVER_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # With job execution on, the server starts ten processes and takes 2.3 GB instead of two and 0.5 GB.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


@dataclass(frozen=True)
class Dashboard:
    """A dashboard that can be started, or that a server already offers (then ``argv`` is empty).

    ``missing`` says in a sentence why the address is not the one that was asked for; empty when it is.
    """

    url: str
    argv: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    missing: str = ""


def dashboard_command(
    runs_root: Path,
    experiment: str | None = None,
    tracking_uri: str | None = None,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
) -> Dashboard:
    """Return the command that shows the store and the address to open.

    When the store is an MLflow server there is nothing to start: the address points to that server.

    Raises:
        StoreError: the store cannot be used.
    """
    location = StoreLocation.resolve(runs_root, tracking_uri)
    location.require_usable()
    page = _page(location, experiment)
    missing = "" if experiment is None or page is not None else _missing(location, experiment)
    page = page or "/#/experiments"
    if location.is_server:
        return Dashboard(url=location.shown.rstrip("/") + page, missing=missing)
    argv = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", location.uri]
    if location.artifacts is not None:
        argv += ["--artifacts-destination", location.artifacts.as_uri()]
    argv += ["--host", host, "--port", str(port), "--workers", "1"]
    url = f"http://{host}:{port}{page}"
    return Dashboard(url=url, argv=tuple(argv), environment=dict(SERVER_ENVIRONMENT), missing=missing)


def make_store(runs_root: Path, tracking_uri: str | None = None) -> None:
    """Make the database unless it is there: a server that does so while a sync does too would destroy it.

    Raises:
        StoreError: it cannot be made, or is of another MLflow version.
    """
    from orchestration.tracking.mlflow_store import MlflowStore  # imports MLflow, which takes more than a second

    MlflowStore(StoreLocation.resolve(runs_root, tracking_uri))


def exec_dashboard(dashboard: Dashboard) -> NoReturn:
    """Become the dashboard: signals and Ctrl-C reach it directly."""
    if not dashboard.argv:
        raise ValueError(f"nothing to start: the dashboard runs at {dashboard.url}")
    os.execve(dashboard.argv[0], dashboard.argv, {**os.environ, **dashboard.environment})


def _page(location: StoreLocation, experiment: str | None) -> str | None:
    """Return the page of an experiment; None when the store does not have it."""
    nothing_there = location.database is not None and not location.database.exists()
    if experiment is None or nothing_there:
        return None
    from orchestration.tracking.mlflow_store import MlflowStore  # imports MLflow, which takes more than a second

    found = MlflowStore(location).experiment_id(experiment)
    return None if found is None else f"/#/experiments/{found}/runs"


def _missing(location: StoreLocation, experiment: str) -> str:
    return (
        f"{location.shown} has no experiment {experiment!r}: run `oneshot sync` if its trials have run, or see "
        "`oneshot status` for how it is called; the page lists those there are"
    )
