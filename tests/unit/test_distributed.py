"""Trials of several processes: where a worker stands, what never fits, when to stop, and one verdict out of many."""

import socket

import pytest

from orchestration.describe import Experiment, Resources
from orchestration.distributed import node as node_module
from orchestration.distributed.meeting import Meeting, Report, StopWish
from orchestration.distributed.node import Node, free_port, node_environment, rendezvous_here, this_node
from orchestration.distributed.team import Team
from orchestration.distributed.verdict import verdict
from orchestration.ending import Ending, Outcome
from orchestration.errors import ExitCode, LaunchError, ResourcesError
from orchestration.launch.machine import require_fit
from orchestration.plan import plan
from orchestration.stop import StopReason, StopRequest

TWO_NODES = Resources(nodes=2)
SIGTERM = StopWish(StopReason.SIGNAL, "SIGTERM")


@pytest.fixture
def meeting():
    return Meeting.open(Node(0, "127.0.0.1", 0))


def ended(rank, outcome, message="", exit_code=1):
    return Report(rank, Ending(outcome, 0, message, exit_code=exit_code))


def test_one_node_needs_no_rendezvous():
    assert this_node(Resources(processes=2), {}) == Node(0, "127.0.0.1", 0)


def test_a_node_is_told_by_its_environment_or_numbered_by_srun():
    assert this_node(TWO_NODES, node_environment("10.0.0.1:4000", 1)) == Node(1, "10.0.0.1", 4000)
    assert this_node(TWO_NODES, {**node_environment("10.0.0.1:4000"), "SLURM_PROCID": "1"}) == Node(1, "10.0.0.1", 4000)


@pytest.mark.parametrize("environment", [{}, node_environment("10.0.0.1:4000"), node_environment("10.0.0.1:4000", 2)])
def test_a_node_that_does_not_know_its_place_says_what_it_was_told(environment):
    with pytest.raises(LaunchError, match=r"a trial over 2 nodes: expected ONESHOT_RENDEZVOUS=host:port"):
        this_node(TWO_NODES, environment)


def test_nodes_meet_at_a_port_that_is_free():
    host, _, port = rendezvous_here().rpartition(":")
    with socket.socket() as server:
        server.bind((host, int(port)))


def test_a_free_port_is_none_that_a_connection_gets():
    first = int(node_module.PORTS_OF_CONNECTIONS.read_text().split()[0])
    if first <= node_module.LOWEST_PORT:
        pytest.skip(f"connections get ports from {first} on here, so there are no others")
    ports = {free_port() for _ in range(20)}
    assert len(ports) > 1
    assert all(node_module.LOWEST_PORT <= port < first for port in ports)


def test_a_port_that_is_listened_on_is_not_free(tmp_path, monkeypatch):
    with socket.create_server(("", free_port())) as listener:
        taken = listener.getsockname()[1]
        ports = tmp_path / "ip_local_port_range"
        ports.write_text(f"{taken + 1}\t60999\n")
        monkeypatch.setattr(node_module, "PORTS_OF_CONNECTIONS", ports)
        monkeypatch.setattr(node_module, "LOWEST_PORT", taken)
        assert free_port() not in (0, taken)


def test_where_connections_get_all_ports_one_of_them_is_taken(tmp_path, monkeypatch):
    ports = tmp_path / "ip_local_port_range"
    ports.write_text("1024\t65535\n")
    monkeypatch.setattr(node_module, "PORTS_OF_CONNECTIONS", ports)
    assert free_port() > 0


def test_more_nodes_than_there_are_are_refused():
    trials = plan(
        [Experiment("e", "tests.integration.counting_task:task", resources=Resources(cpus=2, nodes=3))]
    ).trials
    require_fit(trials, [(2, 0), (2, 0), (4, 1)], "here")
    with pytest.raises(ResourcesError, match="asks for 3 nodes of 2 cpus and 0 gpus, but only 2 such are there"):
        require_fit(trials, [(2, 0), (1, 0), (4, 1)], "here")


def test_every_process_stops_at_the_step_after_the_first_has_learnt_of_the_wish(meeting):
    first, second = (Team(Meeting.join("127.0.0.1", meeting.store.port), StopRequest(), rank, 2) for rank in range(2))
    assert not first.should_stop(3)
    assert not second.should_stop(3)
    meeting.ask_to_stop(SIGTERM)
    meeting.ask_to_stop(StopWish(StopReason.TIME_LIMIT, ""))
    assert not second.should_stop(4)  # it learns first, and must not leave alone
    assert not first.should_stop(4)
    assert first.should_stop(5)
    assert second.should_stop(5)
    assert first._stop.reason is StopReason.SIGNAL


def test_who_resumes_gets_what_the_first_process_got(meeting):
    first, second = (Team(meeting, StopRequest(), rank, 2) for rank in range(2))
    first.tell_checkpoint(7)
    first.tell_checkpoint(None)
    assert [second.chosen_checkpoint(), second.chosen_checkpoint()] == [7, None]


def test_a_port_that_is_taken_is_one_message(meeting):
    with pytest.raises(LaunchError, match=f"127.0.0.1:{meeting.store.port}: cannot be listened on"):
        Meeting.open(Node(0, "127.0.0.1", meeting.store.port))


@pytest.mark.parametrize(
    ("reports", "wish", "given_up", "outcome", "message"),
    [
        ([ended(1, "failed", "late"), ended(0, "ok")], None, None, Outcome.OK, ""),
        ([ended(0, "preempted", "stopped"), ended(1, "failed")], SIGTERM, None, Outcome.PREEMPTED, "stopped"),
        ([ended(0, "failed", "lost 1", 75), ended(1, "failed", "boom")], None, None, Outcome.FAILED, "process 1: boom"),
        ([ended(0, "failed", "gloo"), ended(1, "lost", "killed", -9)], None, "x", Outcome.LOST, "process 1: killed"),
        ([ended(0, "failed", "lost 1", 75)], None, None, Outcome.LOST, "process 0: lost 1"),
        (
            [ended(0, "failed", "lost 1", 75)],
            SIGTERM,
            None,
            Outcome.PREEMPTED,
            "stopped: signal SIGTERM; the processes left at different steps",
        ),
        ([], StopWish(StopReason.TIME_LIMIT, ""), None, Outcome.TIMEOUT, None),
        ([], StopWish(StopReason.CANCELLED, "me"), None, Outcome.CANCELLED, None),
        ([], None, "node 1 of the trial was not heard of", Outcome.NODE_FAIL, "node 1 of the trial was not heard of"),
        ([], None, None, Outcome.LOST, "its processes vanished without a word"),
    ],
)
def test_the_verdict_names_the_cause(reports, wish, given_up, outcome, message):
    reports = [Report(r.rank, Ending(**{**vars(r.ending), "outcome": Outcome(r.ending.outcome)})) for r in reports]
    ending = verdict(reports, wish, given_up)
    assert ending.outcome is outcome
    assert message is None or ending.message == message


@pytest.mark.parametrize(
    ("reason", "exit_code"),
    [
        (StopReason.CANCELLED, ExitCode.INTERRUPTED),
        (StopReason.PRUNED, ExitCode.INTERRUPTED),
        (StopReason.TIME_LIMIT, ExitCode.RESUME_ME),
        (StopReason.SIGNAL, ExitCode.RESUME_ME),
    ],
)
def test_who_left_at_different_steps_is_resumed_unless_somebody_ended_it_for_good(reason, exit_code):
    assert verdict([], StopWish(reason, ""), None).exit_code == exit_code


def test_reports_survive_the_store_in_order(meeting):
    sent = [Report(1, Ending(Outcome.LOST, 5, "ended by SIGKILL", "", -9)), Report(0, Ending(Outcome.OK, 6))]
    for report in sent:
        meeting.report(report)
    assert meeting.reports() == sent
