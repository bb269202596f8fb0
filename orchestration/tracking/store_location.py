"""Where the MLflow store is, and whether it can be written, told without importing MLflow."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from orchestration.errors import ExitCode, OrchestrationError
from orchestration.tracking.server import Problem, server_problem

_SQLITE = "sqlite:///"


class StoreError(OrchestrationError):
    """A tracking store that cannot be used; the message names it and says what to do."""

    exit_code = ExitCode.FOLDER


class StoreAwayError(StoreError):
    """A tracking store that does not answer now; later it may."""


@dataclass(frozen=True)
class StoreLocation:
    """The address of a store.

    Args:
        uri: MLflow's tracking URI.
        artifacts: the folder for new experiments' artifacts; None lets a server decide.
    """

    uri: str
    artifacts: Path | None

    @classmethod
    def resolve(cls, runs_root: Path, tracking_uri: str | None = None) -> StoreLocation:
        """Return the store to use: the argument, else ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the runs folder.

        Nothing is ever relative to the working directory of whoever asks.
        """
        root = runs_root.absolute()
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{root / 'mlflow.db'}"
        if uri.startswith(_SQLITE):
            database = Path(uri[len(_SQLITE) :]).absolute()
            artifacts = root / "mlartifacts" if database.parent == root else database.parent / "mlartifacts"
            return cls(uri=f"{_SQLITE}{database}", artifacts=artifacts)
        if urlsplit(uri).scheme in ("", "file"):
            raise StoreError(
                f"tracking store {uri!r}: MLflow no longer keeps runs in a folder; "
                f"name a database ({_SQLITE}/absolute/path/mlflow.db) or a server (http://host:port)"
            )
        return cls(uri=uri, artifacts=None)

    @property
    def database(self) -> Path | None:
        """The SQLite file, or None when the store is something else."""
        return Path(self.uri[len(_SQLITE) :]) if self.uri.startswith(_SQLITE) else None

    @property
    def shown(self) -> str:
        """The address for people and logs: without a password that it may contain."""
        before, at, after = self.uri.rpartition("@")
        scheme, separator, _ = before.partition("://")
        return f"{scheme}{separator}{after}" if at and separator else self.uri

    @property
    def is_server(self) -> bool:
        """Whether the store is an MLflow server."""
        return urlsplit(self.uri).scheme in ("http", "https")

    def require_usable(self) -> None:
        """Raise :class:`StoreError` at once when the store cannot be reached or written.

        Raises:
            StoreAwayError: it does not answer, and may do so later.
            StoreError: it will not work until somebody changes something.
        """
        problem = self.problem()
        if problem is not None:
            kind = StoreAwayError if problem.may_pass else StoreError
            raise kind(f"tracking store {self.shown}: {problem}")

    def problem(self) -> Problem | None:
        """Return what keeps the store from being used, or None when nothing was found."""
        if self.database is not None:
            return _database_problem(self.database)
        return server_problem(self.uri) if self.is_server else None


def _database_problem(database: Path) -> Problem | None:
    existing = next(path for path in (database, *database.parents) if path.exists())
    if existing == database:
        folder = database.parent
        if not os.access(database, os.W_OK):
            return Problem(f"the file {database} is not writable", "change its permissions or name another store")
        try:
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
                connection.execute("SELECT count(*) FROM sqlite_master")
            connection.close()
        except sqlite3.DatabaseError as error:
            return Problem(f"{database} is not a usable SQLite database ({error})", "move it away and sync again")
    else:
        folder = existing
    try:
        with tempfile.TemporaryFile(dir=folder):  # SQLite writes a journal beside the database
            return None
    except OSError as error:
        advice = "change its permissions or name another store"
        return Problem(f"cannot write into {folder} ({error.strerror})", advice)
