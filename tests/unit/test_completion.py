"""TAB in a shell: commands, options and trials, by the scripts that ``oneshot`` installs there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.describe import Experiment, Variant
from orchestration.errors import DescriptionError
from orchestration.plan import plan
from orchestration.runs import Runs
from orchestration.selection import one_trial

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    """A folder with a ``oneshot`` of this checkout, and trials whose names shells take apart."""
    planned = plan(
        [
            Experiment(
                "losses",
                "tests.integration.counting_task:task",
                variants=[Variant("a + b"), Variant("lr=0.1:x", {"steps": 3})],
            )
        ]
    )
    runs = Runs(tmp_path / "runs")
    for trial, entry in zip(planned.trials, planned.entries, strict=True):
        runs.create(trial)
        runs.link(entry)
    program = tmp_path / "bin" / "oneshot"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys; sys.argv[0] = 'oneshot'\nfrom orchestration.cli import main\nmain()\n"
    )
    program.chmod(0o755)
    return tmp_path


def shell(folder, *command):
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    if shutil.which(command[0], path=path) is None:
        pytest.skip(f"there is no {command[0]} on this machine")
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder), "TERM": "dumb"}
    environment["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"  # the tests run in no interactive shell
    told = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert told.stderr == ""
    return told.stdout.splitlines()


def test_bash_offers_commands_options_values_and_trials(folder):
    begun = [("sta",), ("run", "--laun"), ("run", "--launcher", "l"), ("logs", "losses/a"), ("diff", "losses/l")]
    program = [
        'eval "$(oneshot --show-completion bash)"',
        "f=$(complete -p oneshot | sed 's/.*-F \\([^ ]*\\) .*/\\1/')",
    ]
    for words in begun:
        program.append(f"COMP_WORDS=(oneshot {' '.join(words)}); COMP_CWORD={len(words)}; $f oneshot")
        program.append('printf "%s|" "${COMPREPLY[@]}"; echo')
    assert shell(folder, "bash", "-c", "\n".join(program)) == [
        "status|",
        "--launcher|",
        "local|",
        r"losses/a\ +\ b-seed0|",
        r"losses/lr\?0.1\?x-seed0|",  # bash takes words apart at = and :, so wildcards stand for them
    ]


def test_what_bash_inserts_means_that_trial(folder):
    runs = Runs(folder / "runs")
    assert one_trial(runs, "losses/lr?0.1?x-seed0").signature == one_trial(runs, "lr=0.1:x-seed0").signature
    with pytest.raises(DescriptionError, match="this can be 2 trials"):
        one_trial(runs, "losses/*")


def test_fish_offers_trials_as_they_are_called(folder):
    program = "oneshot --show-completion fish | source; complete --do-complete 'oneshot logs losses/'"
    assert sorted(line.partition("\t")[0] for line in shell(folder, "fish", "-c", program)) == [
        "losses/a + b-seed0",
        "losses/lr=0.1:x-seed0",
    ]


@pytest.mark.parametrize(("name", "file"), [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", ".config/fish")])
def test_the_scripts_are_installed_for_the_user(folder, name, file):
    told = shell(folder, "oneshot", "--install-completion", name)
    assert any("completion installed" in line for line in told)
    assert (folder / file).exists()
