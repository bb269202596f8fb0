"""Options in the running text of a document exist; every command is described, and every option explains itself."""

import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from functools import cache
from importlib import import_module
from io import StringIO
from typing import Any

import pytest
import typer.main

from orchestration.cli import app
from orchestration.cli.bench import LIBRARY_BENCHMARKS
from orchestration.cli.library import LIBRARY_COMMANDS
from orchestration.experiment_file import ExperimentFile
from orchestration.script.flags import parser_of
from tests.documents import DOCUMENTS, ROOT, code_in_text

PAGES = [*DOCUMENTS, *(ROOT / room / "README.md" for room in ("os2d", "orchestration", "experiments"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)

ARGPARSE_PROGRAMS = (
    "main",
    "os2d.visualization.training_curves",
    "baselines.coae.trainval_net",
    "baselines.coae.test_net",
    "baselines.coae.detect",
    "baselines.onenet.train_net",
    "baselines.onenet.demo",
    "baselines.onenet.convert_crowdhuman_to_coco",
    "baselines.onenet.crowdhuman_eval",
    "baselines.detector_retrieval.main_detector_retrieval",
    "baselines.detector_retrieval.detector.train_detector",
    "baselines.detector_retrieval.retrieval.prepare_dataset_retrieval",
    "baselines.detector_retrieval.retrieval.train",
    "baselines.detector_retrieval.retrieval.test_and_learn_whitening",
)
FILES_WITH_OPTIONS = ("own_photos.py", "paper_mini.py", "compare_shelf.py", "launcher_exp1.py")

OF_OTHER_PROGRAMS = {
    "docker": {"--rm", "--shm-size", "--stop-timeout"},
    "pip": {"--find-links", "--force-reinstall", "--no-index"},
    "sbatch": {"--cpus-per-task", "--gpus-per-node", "--kill-on-invalid-dep", "--mem", "--time"},
    "mlflow server": {"--allowed-hosts"},
}


def commands_of(command: Any, name: str, table: dict[str, tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    """Return every command below one, with its words; those of a library from the application behind them."""
    for child, entry in getattr(command, "commands", {}).items():
        if child in table:
            module, _, attribute = table[child][0].partition(":")
            entry = typer.main.get_command(getattr(import_module(module), attribute))
            entry = getattr(entry, "commands", {}).get(child, entry)
        if getattr(entry, "commands", None):
            yield from commands_of(entry, f"{name} {child}", LIBRARY_BENCHMARKS if child == "bench" else {})
        else:
            yield f"{name} {child}", entry


COMMANDS = dict(commands_of(typer.main.get_command(app), "oneshot", LIBRARY_COMMANDS))


@cache
def known_options() -> set[str]:
    """Return the long options of everything that can be started."""
    parameters = [parameter for command in COMMANDS.values() for parameter in command.params]
    found = {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}
    found |= {*parser_of("file.py")._option_string_actions, "--help", "--install-completion"}
    for program in ARGPARSE_PROGRAMS:
        found |= set(re.findall(r"--\w[\w-]*", help_of(program)))
    for file in FILES_WITH_OPTIONS:
        found |= set(ExperimentFile(ROOT / "experiments" / file).option_names)
    return found | {"--quick", "--golden"}  # of the file that docs/experiments.md imagines, and of our tests


def help_of(program: str) -> str:
    printed = StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        import_module(program).main(["--help"])
    assert "usage:" in printed.getvalue(), program
    return printed.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_options_in_the_text_exist(page):
    named = {option for code in code_in_text(page) for option in re.findall(r"(?<![\w-])--\w[\w-]*", code)}
    assert named - known_options() - set().union(*OF_OTHER_PROGRAMS.values()) == set()


def test_no_option_is_allowed_that_nobody_names():
    assert {option for options in OF_OTHER_PROGRAMS.values() for option in options if option not in TEXT} == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_described(command):
    assert re.search(rf"{re.escape(command)}\b", TEXT)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_explains_itself(command):
    silent = [parameter.name for parameter in COMMANDS[command].params if not parameter.help]
    assert silent == []
