"""Cancelling trials of a launch in Ray: what runs saves, what waits is not started, the rest goes on."""

from collections import Counter

import pytest

from tests.integration.oneshot_project import Project, finish, records

pytestmark = pytest.mark.cluster


def test_cancelled_trials_end_and_the_others_finish(tmp_path):
    project = Project(tmp_path, program="orchestration.cli")
    launch = project.start("run", "file.py", "--launcher", "ray", "--cpus", "2", "--seconds", "0.5")
    project.wait_until_logged(4, seconds=300)  # Ray needs its time to start
    running = [name for _, name, folder in project.runs.names() if folder.metrics()]
    waiting = next(
        name for experiment, name, _ in project.runs.names() if experiment == "counts" and name not in running
    )
    stopped = (f"counts/{running[0]}", f"counts/{waiting}")
    code, out = project.run("cancel", *stopped, "--yes", "--json")
    assert code == 0, out
    assert {record["name"]: record["gone"] for record in records(out)} == dict.fromkeys(stopped, True)
    code, out = finish(launch)
    assert code == 1, out
    states = {
        f"{experiment}/{name}": project.runs.states([folder.trial])[folder.signature].value
        for experiment, name, folder in project.runs.names()
    }
    assert {name: states[name] for name in stopped} == dict.fromkeys(stopped, "cancelled")
    assert Counter(states.values()) == {"cancelled": 2, "blocked": 2, "done": 4}
