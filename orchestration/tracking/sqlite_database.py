"""The SQLite database of a store: opened by one process at a time, made as a whole, of this version of MLflow."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from alembic.script import ScriptDirectory
from filelock import FileLock, Timeout

from orchestration.tracking.store_location import StoreError

OPENING_DEADLINE_SECONDS = 120.0


@contextmanager
def opening_lock(database: Path, shown: str) -> Iterator[None]:
    """Let one process at a time open the database: two that make its tables at once destroy the file.

    Args:
        database: the lock lies beside it.
        shown: the store, for messages.

    Raises:
        StoreError: another process has been opening it for too long.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{database}.lock", timeout=OPENING_DEADLINE_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"tracking store {shown}: another process has been opening it for {OPENING_DEADLINE_SECONDS:.0f} s; "
            f"end that process, then try again (lock file {error.lock_file})"
        ) from error
    try:
        yield
    finally:
        lock.release()


def make_database(database: Path, make_tables: Callable[[str], object]) -> None:
    """Make a new database under another name first: a full disk or a kill leaves no half-made store.

    Args:
        database: does not exist yet.
        make_tables: in the database at an address.
    """
    for left_behind in database.parent.glob(f".{database.name}.*.unfinished"):
        left_behind.unlink()
    # A new name every time: SQLAlchemy keeps a connection to the file of an attempt that failed.
    unfinished = database.with_name(f".{database.name}.{uuid4().hex}.unfinished")
    try:
        make_tables(f"sqlite:///{unfinished}")
        unfinished.rename(database)
    finally:
        unfinished.unlink(missing_ok=True)


def require_own_schema(database: Path, migrations: Path, version: str) -> None:
    """Refuse a database of another MLflow version before MLflow sees it, which would change its tables unasked.

    Args:
        database: exists.
        migrations: the folder of MLflow's migrations, which name its schemas.
        version: of MLflow.

    Raises:
        StoreError: what made it, and what to do.
    """
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return  # no tables yet, or not of MLflow: MLflow makes its own
    finally:
        connection.close()
    scripts = ScriptDirectory(str(migrations))
    own = scripts.get_current_head()
    if found is None or found[0] == own:
        return
    known = {script.revision for script in scripts.walk_revisions()}
    advice = (
        f"copy {database} to a safe place, then run `mlflow db upgrade sqlite:///{database}`"
        if found[0] in known
        else "update mlflow here (pip install --upgrade mlflow)"
    )
    raise StoreError(
        f"tracking store sqlite:///{database}: made by {'an older' if found[0] in known else 'a newer'} MLflow "
        f"(schema {found[0]}; MLflow {version} has {own}); {advice}, or name another store"
    )
