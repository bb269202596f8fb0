"""Stores that are not there, cannot be written or are of other versions, and who writes into them."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import mlflow.store.db_migrations
import pytest
from alembic.script import ScriptDirectory
from filelock import FileLock

from orchestration.tracking.store_location import StoreError, StoreLocation
from orchestration.tracking.sync import Follower, sync
from tests.unit.tracked_runs import no_store_from_outside as no_store_from_outside
from tests.unit.tracked_runs import parent, stored
from tests.unit.tracked_runs import root as root
from tests.unit.trial_folders import create, done, finish, log, make_trial, start

REPOSITORY = Path(__file__).resolve().parents[2]


def test_nothing_started_makes_no_store(tmp_path):
    create(tmp_path, make_trial())
    sync(tmp_path)
    assert not (tmp_path / "mlflow.db").exists()


def test_nothing_is_printed_even_when_the_tables_are_made(tmp_path):
    done(tmp_path, make_trial(), {"loss": {1: 1.0}})
    code = f"from pathlib import Path; from orchestration.tracking.sync import sync; sync(Path({str(tmp_path)!r}))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert (ended.stdout, ended.stderr) == ("", "")


def test_losing_the_store_makes_it_again(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    sync(root)
    (root / "mlflow.db").unlink()

    code = f"from pathlib import Path; from orchestration.tracking.sync import sync; print(sync(Path({str(root)!r})))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)

    assert "created=1, updated=1, points=1" in ended.stdout


def test_a_store_that_cannot_be_written_is_named(root, tmp_path):
    done(root, make_trial(), {"loss": {1: 1.0}})
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreError, match=f"cannot write into {file}"):
        sync(root, tracking_uri=f"sqlite:///{file}/m.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_read_only_database_is_named(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    sync(root)
    (root / "mlflow.db").chmod(stat.S_IREAD)
    with pytest.raises(StoreError, match=r"mlflow\.db is not writable"):
        sync(root)


def test_a_password_in_the_address_is_not_shown():
    location = StoreLocation.resolve(Path("runs"), "postgresql://me:secret@host/db")
    assert location.shown == "postgresql://host/db"
    assert location.uri == "postgresql://me:secret@host/db"


def make_older_store(database):
    """Make what is needed of a database that MLflow made some versions ago; return its schema."""
    migrations = Path(mlflow.store.db_migrations.__file__).parent
    older = [script.revision for script in ScriptDirectory(str(migrations)).walk_revisions()][20]
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.execute("CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR(256))")
    connection.execute("INSERT INTO alembic_version VALUES (?)", (older,))
    connection.commit()
    connection.close()
    return older


def test_a_store_of_an_older_mlflow_is_left_as_it_is(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    (root / "mlflow.db").unlink()
    older = make_older_store(root / "mlflow.db")
    before = (root / "mlflow.db").read_bytes()
    with pytest.raises(
        StoreError, match=rf"older MLflow \(schema {older}.*then run `mlflow db upgrade sqlite:///{root}"
    ):
        sync(root)
    assert (root / "mlflow.db").read_bytes() == before


def test_a_store_of_a_newer_mlflow_is_told(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    with sqlite3.connect(root / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'f00000000000'")
    connection.close()
    with pytest.raises(StoreError, match=r"made by a newer MLflow .*pip install --upgrade mlflow"):
        sync(root)


def test_a_second_writer_is_told_after_its_deadline(root):
    done(root, make_trial(), {"loss": {1: 1.0}})
    (root / ".tracking").mkdir()
    with FileLock(root / ".tracking" / "lock"), pytest.raises(StoreError, match="another process has been writing"):
        sync(root, wait_seconds=0.2)


def test_the_follower_writes_in_the_background_and_finishes_at_the_end(root):
    folder = create(root, make_trial())
    follower = Follower(root, ["losses"], seconds=0.05)
    attempt = start(folder)
    log(folder, 1, {"loss": 1.0})
    follower.tick()
    finish(folder, attempt, {"loss": 1.0})

    report = follower.close()

    assert report is not None
    assert not report.busy
    assert stored(root)[1]["base-seed0"].status == parent(root).status == "FINISHED"


def test_the_follower_never_raises(root, tmp_path, caplog):
    done(root, make_trial(), {"loss": {1: 1.0}})
    (tmp_path / "file").write_text("")
    follower = Follower(root, tracking_uri=f"sqlite:///{tmp_path}/file/m.db", seconds=0.01)
    follower.tick()
    assert follower.close() is None
    assert "run `oneshot sync` later: nothing is lost" in caplog.text
