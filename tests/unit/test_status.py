"""Where trials stand: read from real folders, shown at once, followed in a pipe and on a terminal."""

import io
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from orchestration.describe import Resources
from orchestration.ending import Outcome
from orchestration.errors import DescriptionError
from orchestration.journal_records import Heartbeat, State
from orchestration.runs import Named, Runs
from orchestration.selection import choose
from orchestration.status import Board, board_of_names, board_of_plan, board_of_trials, counts, states_called
from orchestration.watch import COLUMNS, LiveBoard, Shown, duration, occupied_text, print_status
from tests.unit.trial_folders import create, done, end, finish, log, make_plan, make_trial, start, vanish

ROOT = Path(__file__).resolve().parents[2]
ALL = Shown()


@pytest.fixture
def root(tmp_path):
    """A done, a running, a failed, a lost, a queued and a planned trial; the running one is at step 6 of 20."""
    done(tmp_path, make_trial("done"), {"loss": {1: 0.5, 2: 0.25}})
    running = create(tmp_path, make_trial("running"))
    attempt = start(running)
    log(running, 5, {"loss": 0.75, "accuracy": 0.5})
    log(running, 6, {"loss": 0.7})
    began = attempt.started_ms / 1000
    running.beat(Heartbeat(began + 12, 1, attempt.host, attempt.pid, 6, 20))
    failed = create(tmp_path, make_trial("failed"))
    end(start(failed), Outcome.FAILED, "RuntimeError: it broke")
    lost = create(tmp_path, make_trial("lost"))
    vanish(lost, start(lost))
    create(tmp_path, make_trial("queued"))
    Runs(tmp_path).ask(make_trial("queued"), ())
    create(tmp_path, make_trial("planned"))
    return tmp_path


def looked(board):
    board.look()
    return board


def lines_of(board, *args):
    return {line.name.removesuffix("-seed0"): line for line in looked(board).lines(*args)}


def test_states_and_details_follow_from_the_folders(root):
    lines = lines_of(board_of_names(Runs(root)))
    assert {name: line.state.value for name, line in lines.items()} == {name: name for name in lines}
    running = lines["running"]
    assert (running.step, running.total, running.metric, running.value, running.attempts) == (6, 20, "loss", 0.7, 1)
    assert running.eta_seconds == pytest.approx(14 * 2.0, rel=0.01)  # 6 steps in 12 s, 14 more
    assert (running.host, running.resources, running.job) == (os.uname().nodename, Resources(), "")
    assert (lines["failed"].message, lines["failed"].eta_seconds) == ("RuntimeError: it broke", None)
    assert (lines["done"].value, lines["done"].step) == (0.25, 2)
    assert lines["running"].as_dict()["state"] == "running"


def test_the_rate_is_that_of_the_current_attempt(root):
    folder = Runs(root).find("losses/running-seed0")[0]
    attempt = folder.last_attempt()
    assert attempt is not None
    folder.events_file.write_text('{"kind": "resumed", "time_ms": 1, "attempt": 1, "step": 4}\n')
    board = board_of_names(Runs(root), choose(Runs(root), ["*running*"]))
    assert lines_of(board)["running"].eta_seconds == pytest.approx(14 * 6.0, rel=0.01)  # 2 steps in 12 s


def test_a_metric_is_shown_by_its_last_value(root):
    assert lines_of(board_of_names(Runs(root)), (), "accuracy")["running"].value == 0.5
    assert lines_of(board_of_names(Runs(root)), (), "accuracy")["done"].value is None


def test_only_some_states_and_names(root):
    board = looked(board_of_names(Runs(root)))
    assert [line.state for line in board.lines((State.LOST, State.FAILED))] == [State.FAILED, State.LOST]
    assert states_called("failed, running") == (State.FAILED, State.RUNNING)
    with pytest.raises(DescriptionError, match="--state fine: there is no such state; there are: planned, queued"):
        states_called("fine")
    plan = make_plan([make_trial("done"), make_trial("other"), make_trial("done", experiment="more")])
    assert [each.name for each in board_of_plan(plan, Runs(root), ["losses/do*"]).named] == ["done-seed0"]
    assert [each.experiment for each in board_of_plan(plan, Runs(root), ["done*"]).named] == ["losses", "more"]


def test_what_was_never_launched_is_planned_and_what_needs_a_failed_one_is_blocked(root):
    blocked = make_trial("blocked", needs={"m": make_trial("failed").signature})
    board = looked(board_of_trials([make_trial("nowhere"), blocked], Runs(root)))
    assert board.states() == [State.PLANNED, State.BLOCKED]
    create(root, blocked)
    assert lines_of(board_of_names(Runs(root)))["blocked"].state is State.BLOCKED


def test_a_look_tells_what_changed_and_leaves_alone_what_is_done(root):
    board = board_of_names(Runs(root))
    assert board.look() == [] and board.look() == []
    folder = Runs(root).find("losses/running-seed0")[0]
    finish(folder, folder.last_attempt(), {"loss": 0.1})
    ((named, before, after),) = board.look()
    assert (named.name, before, after) == ("running-seed0", State.RUNNING, State.DONE)
    (folder.path / "result.json").unlink()
    assert board.look() == [] and board.state(named) is State.DONE


def test_the_urgent_ones_come_first(root):
    board = looked(board_of_names(Runs(root)))
    names = [named.name.removesuffix("-seed0") for named in board.urgent_first()]
    assert names == ["running", "failed", "lost", "queued", "planned", "done"]


def test_a_name_for_two_experiments_counts_once(root):
    folder = Runs(root).folder(make_trial("done").signature)
    board = looked(Board(Runs(root), [Named("a", "x", folder), Named("b", "y", folder)]))
    assert counts(board.states()) == "1 done" and [line.experiment for line in board.lines()] == ["a", "b"]


def printed(root, shown=ALL, width=200):
    console = Console(file=io.StringIO(), width=width)
    print_status(looked(board_of_names(Runs(root))), shown, console)
    return console.file.getvalue()


def test_the_table_shows_what_matters_and_no_empty_columns(root):
    text = printed(root)
    assert "losses" in text.splitlines()[1]
    running = next(line for line in text.splitlines() if "/running" in line)
    assert running.split()[2:9] == ["running", "6/20", "loss", "0.7", "28s", "1", "cpu"]
    assert "RuntimeError: it broke" in text
    assert "left" not in printed(root, Shown((State.DONE,)))
    assert "accuracy 0.5" in printed(root, Shown(metric="accuracy"))


def test_long_names_leave_room_for_everything_else(root):
    folder = create(root, make_trial("optim.lr=0.001," * 20))
    lines = printed(root, width=130).splitlines()
    row = next(line for line in lines if folder.signature[:12] in line)
    name, signature, state = row.split()[:3]
    assert name.startswith("losses/optim") and "…" in name
    assert (signature, state) == (folder.signature[:12], "planned")
    assert max(map(len, lines)) <= 130
    assert any("6/20" in line and "loss 0.7" in line for line in lines)


def test_many_trials_are_cut_off_and_counted(root):
    for seed in range(70):
        create(root, make_trial("many", seed))
    assert "... and 16 more (--json lists all)" in printed(root)


def test_in_a_pipe_changes_are_lines(root):
    console = Console(file=io.StringIO(), width=80)
    board = looked(board_of_names(Runs(root)))
    with LiveBoard(board, Shown(), console, stays=True) as live:
        live.look()
        assert console.file.getvalue() == ""
        folder = Runs(root).find("losses/running-seed0")[0]
        finish(folder, folder.last_attempt(), {"loss": 0.1})
        live.look()
    assert console.file.getvalue() == "losses/running-seed0: running -> done (6/20, loss 0.7)\n"


def test_a_terminal_shows_as_many_rows_as_it_has(root):
    for seed in range(70):
        create(root, make_trial("many", seed))
    console = Console(file=io.StringIO(), width=120, height=20, force_terminal=True)
    board = looked(board_of_names(Runs(root)))
    with LiveBoard(board, Shown(), console, stays=True) as live:
        live.look()
    text = console.file.getvalue()
    assert "losses/running-seed0" in text and "... and 62 more" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0s"), (59, "59s"), (60, "1m00s"), (3599, "59m59s"), (11_260, "3h07m"), (100_000, "1d03h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_resources_in_words():
    assert occupied_text(Resources(cpus=8, gpus=0.5, memory_gb=32)) == "8 cpu 0.5 gpu 32 GB"
    assert occupied_text(Resources(cpus=2, gpus=1, memory_gb=8, nodes=2)) == "2 x (2 cpu 1 gpu 8 GB)"
    assert len(COLUMNS) == len(set(COLUMNS))


def oneshot(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "TERM": "xterm"}
    command = [sys.executable, "-m", "orchestration.cli", *arguments]
    return subprocess.Popen(command, env=environment, cwd=ROOT, **options)


def test_watching_in_a_pipe_ends_by_itself_with_the_last_live_trial(root):
    worker = Runs(root).find("losses/running-seed0")[0]
    told = oneshot("status", "--watch", "--runs", root, "*running*", stdout=subprocess.PIPE, text=True)
    assert told.stdout is not None
    while "loss 0.7" not in told.stdout.readline():
        assert told.poll() is None
    finish(worker, worker.last_attempt(), {"loss": 0.1})
    rest, _ = told.communicate(timeout=60)
    assert "losses/running-seed0: running -> done" in rest
    assert told.returncode == 0


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_watching_on_a_terminal_ends_with_a_key_and_leaves_the_terminal_as_it_was(root, key):
    ours, theirs = pty.openpty()
    watching = oneshot(
        "status", "-w", "--runs", root, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=_own(theirs)
    )
    seen = b""
    deadline = time.monotonic() + 60
    while b"running-seed0" not in seen and time.monotonic() < deadline:
        seen += _read(ours)
    os.write(ours, key)
    while watching.poll() is None and time.monotonic() < deadline:
        seen += _read(ours)
    assert watching.wait(timeout=5) == 0
    import termios

    assert termios.tcgetattr(theirs)[3] & termios.ECHO and termios.tcgetattr(theirs)[3] & termios.ICANON
    assert b"Traceback" not in seen
    os.close(ours)
    os.close(theirs)


def _own(terminal):
    def take():
        import fcntl
        import termios

        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    return take


def _read(terminal):
    ready, _, _ = select.select([terminal], [], [], 0.2)
    return os.read(terminal, 65536) if ready else b""
