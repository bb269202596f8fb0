"""Who may work on a trial: claims, owners that are gone, and the attempts they leave."""

import multiprocessing
import os
import subprocess
import time
from dataclasses import replace

import pytest

from orchestration import attempt
from orchestration.attempt import Held, claim_next, now_ms
from orchestration.claim import STALE_SECONDS, Owner, process_start, silent_for
from orchestration.ending import Ending, Outcome
from orchestration.journal_records import Heartbeat
from tests.unit.other_owners import claim_as, dead_owner
from tests.unit.trial_folders import create, make_trial


@pytest.fixture
def folder(tmp_path):
    return create(tmp_path / "runs", make_trial())


def test_a_claim_is_refused_while_its_owner_lives(folder):
    claim = folder.claim()
    assert claim.number == 1
    refused = folder.claim()
    assert isinstance(refused, Held)
    assert refused.by.pid == os.getpid()
    claim.close(Ending(Outcome.PREEMPTED, now_ms()))
    assert folder.claim().number == 2


def test_a_dead_owner_is_overtaken_and_its_attempt_recorded_as_lost(folder):
    claim_as(folder, 1, dead_owner())
    assert folder.claim().number == 2
    assert [attempt.outcome for attempt in folder.attempts()] == [Outcome.LOST, None]


def test_another_process_with_the_same_pid_is_not_the_owner(folder):
    claim_as(folder, 1, replace(Owner.this_process(), pid_start="another boot:1"))
    assert folder.claim().number == 2


def test_a_dead_owner_whose_parent_has_not_asked_for_it_is_gone(folder):
    process = subprocess.Popen(["sleep", "60"])
    owner = replace(Owner.this_process(), pid=process.pid, pid_start=process_start(process.pid))
    claim_as(folder, 1, owner)
    assert isinstance(folder.claim(), Held)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
    assert folder.claim().number == 2
    process.wait()


def test_an_owner_on_another_host_lives_as_long_as_its_heart_beats(folder):
    elsewhere = replace(Owner.this_process(), host="elsewhere")
    claim_as(folder, 1, elsewhere)
    folder.beat(Heartbeat(time=time.time(), attempt=1, host="elsewhere", pid=1))
    assert isinstance(folder.claim(), Held)
    old = time.time() - STALE_SECONDS - 1
    folder.beat(Heartbeat(time=old, attempt=1, host="elsewhere", pid=1))
    os.utime(folder.path / "heartbeat", (old, old))
    assert folder.claim().number == 2


def test_a_silent_worker_is_dead_although_its_clock_ran_ahead(tmp_path):
    now = time.time()
    beat = tmp_path / "heartbeat"
    beat.touch()
    for written, silence in ((now - 100, 100), (now + 100, 100), (now, 0)):
        os.utime(beat, (written, written))
        assert silent_for({"time": now + 5000}, beat, now) == pytest.approx(silence, abs=1)


def _race(attempts, barrier, winners):
    barrier.wait()
    claim = claim_next(attempts)
    if not isinstance(claim, Held):
        winners.put(claim.number)
        barrier.wait()  # hold the claim until everybody has tried
    else:
        barrier.wait()


def test_of_racing_processes_exactly_one_overtakes_a_stale_claim(folder):
    context = multiprocessing.get_context("fork")
    for round_number in range(5):
        claim_as(folder, 2 * round_number + 1, dead_owner())
        barrier, winners = context.Barrier(6), context.Queue()
        racers = [context.Process(target=_race, args=(folder.path / "attempts", barrier, winners)) for _ in range(6)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert winners.get(timeout=1) == 2 * round_number + 2
        assert winners.empty()


def test_the_first_outcome_stands(folder):
    claim = folder.claim()
    assert claim.close(Ending(Outcome.OK, 1))
    assert not claim.close(Ending(Outcome.LOST, 2))
    assert folder.attempts()[0].outcome is Outcome.OK


@pytest.mark.parametrize("recorded", [None, Outcome.FAILED, Outcome.LOST])
def test_the_attempt_that_left_the_result_was_fine_whatever_happened_to_it_then(folder, recorded):
    claim = folder.claim()
    folder.finish({"value": 1.0}, claim.number)
    if recorded:
        claim.close(Ending(recorded, now_ms()))
    assert folder.last_attempt().outcome is Outcome.OK
    assert [attempt.outcome for attempt in folder.attempts()] == [Outcome.OK]
    assert folder.attempts()[0].ended_ms == folder.result().finished_ms
    assert folder.attempts()[0].ending.exit_code == 0


def test_the_attempts_before_the_one_that_left_the_result_end_as_they_did(folder):
    first = folder.claim()
    first.close(Ending(Outcome.FAILED, now_ms()))
    second = folder.claim()
    folder.finish({"value": 1.0}, second.number)
    assert [attempt.outcome for attempt in folder.attempts()] == [Outcome.FAILED, Outcome.OK]


def test_attempts_stay_in_order_when_the_clock_is_set_back(folder, monkeypatch):
    monkeypatch.setattr(attempt, "_newest", (0, 0))
    first = folder.claim()
    later_ms = now_ms() + 3_600_000
    folder.beat(Heartbeat(later_ms / 1000, 1, first.host, first.pid))
    first.close(Ending(Outcome.PREEMPTED, 1))
    second = folder.claim()
    assert folder.attempts()[0].ended_ms == first.started_ms
    assert second.started_ms >= later_ms
    times = [now_ms(), now_ms()]
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    times += [now_ms(), now_ms()]
    assert times == sorted(times)
    assert times[0] >= later_ms
