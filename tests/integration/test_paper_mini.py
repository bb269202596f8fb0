"""The ImageNet table of the paper in miniature comes out full, and is the same from every back end."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.integration.oneshot_project import ROOT, Project, finish
from tests.integration.slurm_project import SlurmProject

pytestmark = pytest.mark.cluster

FILE = str(ROOT / "experiments" / "paper_mini.py")
BASELINE = "mini-detret_imagenet_eval"
"""Ten evaluations that need a detector, a retrieval network and the pictures it learns from."""
FINISHED_BEFORE_THE_KILL = 2
LONGEST_SECONDS = 900
"""Of a launch, beside other work; a machine at rest takes a tenth."""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("data")


def command(program: str, data: Path, *arguments: str) -> tuple[str, ...]:
    return (program, FILE, "--tables", "imagenet", "--data", str(data), *arguments)


def numbers(project: Project, data: Path) -> dict[tuple[str, str], tuple[float, float, int]]:
    """Return (row, column) -> mean, standard deviation and number of values of every full cell of the table."""
    code, out = project.run(*command("table", data, "--json"))
    assert code == 0, out
    cells = json.loads(out[out.index("[\n") :])
    return {(one["row"], one["column"]): (one["mean"], one["std"], one["n"]) for one in cells if one["state"] == "done"}


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory) -> dict[tuple[str, str], tuple[float, float, int]]:
    """The table of a launch on this machine: 34 trials of seconds each."""
    project = Project(tmp_path_factory.mktemp("local"), "orchestration.cli")
    code, out = finish(project.start(*command("run", data, "--launcher", "local")), LONGEST_SECONDS)
    assert code == 0, out
    return numbers(project, data)


def test_all_systems_fill_their_rows(undisturbed):
    assert len({row for row, _ in undisturbed}) == 3
    assert len(undisturbed) == 3 * 6
    assert all(n == 10 for _, _, n in undisturbed.values())
    assert all(mean > 0 for (_, column), (mean, _, _) in undisturbed.items() if column.endswith("mean"))


def test_what_ray_began_before_it_was_killed_slurm_ends_with_the_same_numbers(
    undisturbed, data, tmp_path, slurm_cluster
):
    pytest.importorskip("ray")
    project = SlurmProject(tmp_path / "p", slurm_cluster)
    project.program = "orchestration.cli"
    wanted = command("run", data, "--only", BASELINE)
    process = project.start(*wanted, "--launcher", "ray", "--cpus", "2")
    deadline = time.monotonic() + 300
    while len(list(project.runs.root.glob("*/result.json"))) < FINISHED_BEFORE_THE_KILL:
        assert process.poll() is None, finish(process)[1]
        assert time.monotonic() < deadline, "no trial finished"
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    project.wait_until_idle(60)
    try:
        code, out = finish(project.start(*wanted, "--launcher", "slurm"), LONGEST_SECONDS)
    finally:
        slurm_cluster.cancel_everything()
    assert code == 0, out
    assert numbers(project, data) == {place: cell for place, cell in undisturbed.items() if place[0].startswith("Main")}
