"""The comparison of the three systems runs to its table, by the command of the README."""

import re

import pytest

from tests.integration.oneshot_project import ROOT, Project

METHODS = ("OS2D ", "CoAE ", "CoAE, ", "detector ")
COLUMNS = 5


@pytest.mark.cluster
def test_a_few_steps_of_everything_end_in_the_table(tmp_path):
    project = Project(tmp_path / "project", "orchestration.cli")
    project.environment["ONESHOT_DATA"] = str(tmp_path / "data")
    code, out = project.run("run", str(ROOT / "experiments" / "compare_shelf.py"), "--quick")
    assert code == 0, out
    for method in METHODS:
        (line,) = re.findall(rf"^│ {method}.*$", out, re.MULTILINE)
        assert len(re.findall(r"\d \(1\)", line)) == COLUMNS, line
