"""What trials printed: one or several, whole or the end, now or as it comes."""

import io
import threading

import pytest

from orchestration.durable import make_folder
from orchestration.ending import Outcome
from orchestration.errors import DescriptionError
from orchestration.logs import Wanted, _Log, _start_of_last_lines, follow_logs, print_logs
from orchestration.runs import Runs
from orchestration.selection import choose
from tests.unit.trial_folders import create, end, finish, make_trial, start


def printed(root, patterns, wanted=None):
    out = io.StringIO()
    print_logs(choose(Runs(root), patterns), wanted or Wanted(), out)
    return out.getvalue()


@pytest.fixture
def root(tmp_path):
    for variant in ("a", "b"):
        folder = create(tmp_path, make_trial(variant))
        first = start(folder)
        first.stdout.write_text("the first attempt\n")
        end(first, Outcome.PREEMPTED)
        second = start(folder)
        second.stdout.write_text(f"one\ntwo\n{variant}\n")
        second.stderr.write_text("warning\nworse")
        end(second, Outcome.FAILED)
    create(tmp_path, make_trial("never"))
    return tmp_path


def test_one_trial_has_a_heading_per_log(root):
    assert printed(root, ["a-seed0"]) == (
        "==> attempt 2: stdout.log <==\none\ntwo\na\n==> attempt 2: stderr.log <==\nwarning\nworse"
    )
    assert printed(root, ["a-seed0"], Wanted(attempt=1)) == "==> attempt 1: stdout.log <==\nthe first attempt\n"


def test_several_trials_have_their_name_before_each_line(root):
    assert printed(root, ["?-seed0"], Wanted(last_lines=1)).splitlines() == [
        "losses/a-seed0 | a",
        "losses/a-seed0 | worse",
        "losses/b-seed0 | b",
        "losses/b-seed0 | worse",
    ]


def test_only_the_complaints(root):
    assert printed(root, ["a-seed0"], Wanted(only_stderr=True, last_lines=1)) == "==> attempt 2: stderr.log <==\nworse"


def test_what_is_not_there_is_told(root):
    with pytest.raises(DescriptionError, match="losses/never-seed0: no attempt yet"):
        printed(root, ["never*"])
    with pytest.raises(DescriptionError, match="losses/a-seed0: no attempt 7; there are 2"):
        printed(root, ["a-seed0"], Wanted(attempt=7))
    assert "losses/never" not in printed(root, ["*"])


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"one\ntwo\n", b"one\ntwo", b"\n\n\n", b"x" * 70_000 + b"\n" + b"y\n" * 40_000]
)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 40_001])
def test_the_last_lines_are_found_from_the_end(tmp_path, content, count):
    path = tmp_path / "log"
    path.write_bytes(content)
    expected = content.splitlines(keepends=True)[-count:] if count else []
    assert content[_start_of_last_lines(path, count) :] == b"".join(expected)


def test_following_goes_over_to_the_next_attempt_and_ends_with_the_trial(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestration.logs.POLL_SECONDS", 0.01)
    folder = create(tmp_path, make_trial())
    first = start(folder)
    first.stdout.write_text("begun\n")
    seen = threading.Event()

    class Out(io.StringIO):
        def flush(self):
            if "begun" in self.getvalue():
                seen.set()

    out = Out()
    following = threading.Thread(target=follow_logs, args=(choose(Runs(tmp_path), ["*"]), Wanted(), out))
    following.start()
    assert seen.wait(30)
    with first.stdout.open("a") as log:
        log.write("on\n")
    end(first, Outcome.LOST)
    second = start(folder)
    make_folder(second.folder)
    second.stdout.write_text("again\n")
    finish(folder, second, {"loss": 1.0})
    following.join(30)
    assert not following.is_alive()
    first_log, second_log = "==> attempt 1: stdout.log <==\nbegun\non\n", "==> attempt 2: stdout.log <==\nagain\n"
    assert out.getvalue() == first_log + second_log


def test_while_several_are_followed_a_line_is_printed_once_it_is_whole(tmp_path):
    log = _Log(tmp_path / "log", None)
    assert log.news(only_lines=True) == ""
    (tmp_path / "log").write_text("a\nb")
    assert log.news(only_lines=True) == "a\n"
    assert (log.news(only_lines=False), log.news(only_lines=False)) == ("b", "")
