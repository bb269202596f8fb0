"""Budgets: which ends of an attempt are followed by another one."""

from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.attempt import Attempt
from orchestration.claim import Owner
from orchestration.ending import Ending, Outcome
from orchestration.retry import BUDGETS, LONGEST_PAUSE_SECONDS, judge


def attempts(*endings):
    owner = Owner.this_process()
    return [
        Attempt(i, Path("attempts") / str(i), owner, 0, Ending(outcome, 0, "why", error))
        for i, (outcome, error) in enumerate(endings, start=1)
    ]


@pytest.mark.parametrize("outcome", [Outcome.PREEMPTED, Outcome.TIMEOUT, Outcome.NODE_FAIL, Outcome.LOST])
def test_infrastructure_is_forgiven_twenty_times(outcome):
    assert judge(attempts(*[(outcome, "")] * 20)).pause_seconds == LONGEST_PAUSE_SECONDS
    assert judge(attempts(*[(outcome, "")] * 21)).pause_seconds is None


def test_what_happened_before_an_attempt_that_got_somewhere_is_forgotten():
    quick = attempts(*[(Outcome.PREEMPTED, "")] * 20)
    lasting = replace(quick[0], ending=Ending(Outcome.PREEMPTED, 3_600_000))
    assert judge([*quick, lasting]).pause_seconds == 0.25
    assert judge([*quick, lasting, *quick]).pause_seconds is None
    failed = replace(lasting, ending=Ending(Outcome.FAILED, 3_600_000, error="a"))
    assert judge([failed, replace(failed, ending=replace(failed.ending, error="b"))]).pause_seconds is None


def test_the_pause_grows():
    pauses = [judge(attempts(*[(Outcome.LOST, "")] * count)).pause_seconds for count in (1, 2, 3)]
    assert pauses == [0.25, 0.5, 1.0]


def test_a_failure_is_tried_once_more():
    assert judge(attempts((Outcome.FAILED, "a"))).pause_seconds is not None
    assert judge(attempts((Outcome.FAILED, "a"), (Outcome.FAILED, "b"))).pause_seconds is None


def test_the_same_traceback_twice_ends_it_whatever_the_budget(monkeypatch):
    monkeypatch.setitem(BUDGETS, Outcome.FAILED, ("code", 9))
    assert judge(attempts((Outcome.FAILED, "a"), (Outcome.FAILED, "b"))).pause_seconds is not None
    verdict = judge(attempts((Outcome.FAILED, "a"), (Outcome.LOST, ""), (Outcome.FAILED, "a")))
    assert (verdict.pause_seconds, verdict.reason) == (None, "the same failure twice: why")


def test_an_end_without_a_traceback_is_not_the_same_as_those_before(monkeypatch):
    monkeypatch.setitem(BUDGETS, Outcome.FAILED, ("code", 9))
    monkeypatch.setitem(BUDGETS, Outcome.OOM, ("code", 9))
    killed = judge(attempts((Outcome.FAILED, "a"), (Outcome.FAILED, "b"), (Outcome.OOM, ""), (Outcome.OOM, "")))
    assert killed.pause_seconds is not None


def test_the_budgets_are_those_of_the_design():
    allowed = {outcome: BUDGETS[outcome][1] for outcome in BUDGETS if BUDGETS[outcome][0] == "infrastructure"}
    assert allowed == dict.fromkeys((Outcome.PREEMPTED, Outcome.TIMEOUT, Outcome.NODE_FAIL, Outcome.LOST), 20)
    assert {outcome for outcome, (name, most) in BUDGETS.items() if (name, most) == ("code", 1)} == {
        Outcome.FAILED,
        Outcome.OOM,
    }


def test_infrastructure_does_not_use_up_the_budget_of_the_code():
    assert judge(attempts((Outcome.FAILED, "a"), (Outcome.LOST, ""), (Outcome.PREEMPTED, ""))).pause_seconds is not None


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.PRUNED])
def test_what_somebody_decided_is_not_undone(outcome):
    assert judge(attempts((outcome, ""))).pause_seconds is None


def test_a_configuration_error_is_never_tried_again():
    (attempt,) = attempts((Outcome.FAILED, ""))
    ending = Ending(Outcome.FAILED, 0, "steps: wrong", can_retry=False)
    verdict = judge([Attempt(1, attempt.folder, attempt.owner, 0, ending)])
    assert (verdict.pause_seconds, verdict.reason) == (None, "steps: wrong")
