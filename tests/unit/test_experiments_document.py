"""What ``docs/experiments.md`` and the starter file say is true."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration import describe
from orchestration.script import run_script
from orchestration.script.flags import parser_of

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")


def test_every_example_gives_what_it_shows():
    blocks = [block for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S) if ">>>" in block]
    names: dict[str, object] = {}
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    for number, block in enumerate(blocks):
        example = doctest.DocTestParser().get_doctest(block, names, f"block {number}", "docs/experiments.md", 0)
        runner.run(example, out=told.append, clear_globs=False)
        names = example.globs
    assert runner.tries > 20
    assert runner.failures == 0, "".join(told)


@pytest.mark.parametrize("name", describe.__all__)
def test_everything_that_can_be_described_is_explained(name):
    assert re.search(rf"\b{name}\b", TEXT)


def test_every_flag_of_a_script_is_explained():
    flags = {flag for flag in parser_of("file.py")._option_string_actions if flag.startswith("--")} - {"--help"}
    assert [flag for flag in sorted(flags) if flag not in TEXT] == ["--partition"]  # explained as -p


def test_the_starter_file_is_a_plan_and_a_script(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "orchestration.cli", "init", "first.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = [subprocess.run(command, env=environment, capture_output=True, text=True) for _ in range(2)]
    assert [each.returncode for each in told] == [0, 2]
    assert "it exists already, and is left as it is" in told[1].stderr
    assert run_script(tmp_path / "first.py", ["--list"]) == 0
    assert "7  rates/RLL,train.optim.lr=0.0003-seed1  planned" in capsys.readouterr().out
