"""What may be deleted from a runs folder, and what never is."""

import os
import tempfile
import time

import pytest

from orchestration.claim import Owner
from orchestration.drivers import recorded
from orchestration.durable import to_json
from orchestration.ending import Outcome
from orchestration.garbage import DAY_SECONDS, WEEK_SECONDS, Kind, delete, find_garbage
from orchestration.journal_records import State
from orchestration.runs import Runs
from orchestration.trial_state import state_of
from tests.unit.other_owners import dead_owner
from tests.unit.trial_folders import create, done, end, make_trial, start, vanish

OLD = DAY_SECONDS * 1.5
VERY_OLD = WEEK_SECONDS * 1.5


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "runs")


@pytest.fixture
def folder(runs):
    """A trial that is done."""
    return done(runs.root, make_trial(), {"loss": {1: 0.5}})


def write(path, age=0.0, content="12345"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (time.time() - age,) * 2)
    return path


def found(runs, **options):
    """Return path -> kind of what may be deleted there."""
    return {one.path: one.kind for one in find_garbage(runs, **options) if one.path.is_relative_to(runs.root)}


def test_a_tidy_folder_has_nothing_to_delete(runs, folder):
    write(folder.artifacts / "figure.png", VERY_OLD)
    write(folder.checkpoints / "step_00000001.pth", VERY_OLD)
    with recorded(runs.root):
        assert found(runs) == {}


def test_temporary_files_of_writers_that_died(runs, folder):
    old = write(folder.checkpoints / f".best.{'a' * 32}", OLD)
    link = write(runs.root / "by-name" / "losses" / f".{'b' * 32}", OLD)
    write(folder.path / f".heartbeat.{'c' * 32}")
    write(folder.artifacts / ".hidden", OLD)
    assert found(runs) == dict.fromkeys((old, link), Kind.TEMPORARY)


def test_of_a_trial_that_is_done_the_last_and_the_named_checkpoints_stay(runs, folder):
    for name in ("step_00000001.pth", "step_00000010.pth", "best.pth", "step_00000007.pth.damaged"):
        write(folder.checkpoints / name)
    unfinished = create(runs.root, make_trial("other"))
    end(start(unfinished), Outcome.FAILED)
    for name in ("step_00000001.pth", "step_00000002.pth"):
        write(unfinished.checkpoints / name)
    gone = [folder.checkpoints / name for name in ("step_00000001.pth", "step_00000007.pth.damaged")]
    assert found(runs) == dict.fromkeys(gone, Kind.CHECKPOINT)
    assert delete(find_garbage(runs), runs) == {}
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == ["best.pth", "step_00000010.pth"]


@pytest.mark.parametrize("state", [State.RUNNING, State.QUEUED])
def test_a_trial_at_work_is_never_touched(runs, state):
    trial = make_trial()
    folder = runs.create(trial)
    write(folder.checkpoints / f".best.{'a' * 32}", OLD)
    os.utime(folder.path, (time.time() - VERY_OLD,) * 2)
    before = find_garbage(runs, orphans=True)
    assert {one.path for one in before} >= {folder.path}
    if state is State.RUNNING:
        start(folder)
    else:
        runs.ask(trial, [])
    assert state_of(folder) is state
    assert found(runs, orphans=True) == {}
    assert set(delete(before, runs).values()) == {"its trial was started meanwhile"}
    assert folder.exists()


def test_trials_that_no_name_leads_to_and_none_with_a_name_needs(runs):
    need = runs.create(make_trial("need"))
    done(runs.root, make_trial("user", needs={"m": need.signature}), {"loss": {1: 0.5}})
    orphan, young = runs.create(make_trial("orphan")), runs.create(make_trial("young"))
    vanish(orphan, start(orphan))
    for folder in (need, orphan):
        os.utime(folder.path, (time.time() - OLD,) * 2)
    assert found(runs) == {}
    assert found(runs, orphans=True) == {orphan.path: Kind.ORPHAN}
    assert delete(find_garbage(runs, orphans=True), runs) == {}
    assert [need.exists(), orphan.path.exists(), young.exists()] == [True, False, True]
    assert not [path for path in runs.root.iterdir() if path.name.startswith(".deleted")]


def test_a_trial_that_got_a_name_meanwhile_stays(runs):
    orphan = runs.create(make_trial("orphan"))
    os.utime(orphan.path, (time.time() - OLD,) * 2)
    before = find_garbage(runs, orphans=True)
    create(runs.root, make_trial("orphan"))
    assert list(delete(before, runs).values()) == ["it has a name again"]
    assert orphan.exists()


def test_names_of_trials_that_are_gone(runs, folder):
    (link,) = (runs.root / "by-name" / "losses").iterdir()
    folder.path.rename(runs.root.parent / "elsewhere")
    assert found(runs) == {link: Kind.NAME}
    assert delete(find_garbage(runs), runs) == {}
    assert not link.is_symlink()


def test_what_drivers_left_behind(runs, folder):
    here = Owner.this_process()
    gone = dead_owner()
    live_session = runs.root / ".ray" / f"{here.host}-{here.pid}-abcd"
    dead_session = runs.root / ".ray" / f"{here.host}-{gone.pid}-abcd"
    elsewhere = runs.root / ".ray" / f"some-other-host-{gone.pid}-abcd"
    for session in (live_session, dead_session, elsewhere):
        write(session / "tune.log")
    fields = {"owner": vars(gone), "command": [], "folder": "", "started_ms": 0, "log": ""}
    record = write(runs.root / ".drivers" / "1.json", content=to_json(fields))
    old_log = write(runs.root / ".drivers" / "2.log", VERY_OLD)
    write(runs.root / ".drivers" / "3.log", OLD)
    with recorded(runs.root):
        assert found(runs) == {dead_session: Kind.RAY_SESSION, record: Kind.DRIVER, old_log: Kind.DRIVER}
    os.utime(elsewhere, (time.time() - VERY_OLD,) * 2)
    assert elsewhere in found(runs)
    sizes = {one.path: one.size for one in find_garbage(runs)}
    assert sizes[dead_session] == 5


def test_what_a_driver_left_in_the_temporary_folder_but_not_the_cluster_of_a_job(runs, monkeypatch):
    temporary, gone = runs.root / "tmp", dead_owner()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    left = temporary / f"oneshot-ray-{gone.pid}-x1_y"
    for folder in (left, temporary / f"oneshot-ray-{os.getpid()}-x1_y", temporary / f"oneshot-ray-{gone.pid}"):
        folder.mkdir(parents=True)
    assert found(runs) == {left: Kind.RAY_SESSION}
