"""Whether a command line could be meant: the command exists, and so does every option and key of the configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import typer.main

from orchestration.cli import app
from orchestration.cli.bench import LIBRARY_BENCHMARKS
from orchestration.cli.library import LIBRARY_COMMANDS
from orchestration.experiment_file import ExperimentFile
from orchestration.script.flags import parser_of
from tests.documents import ROOT

PLACEHOLDER_FILES = {"FILE", "file.py", "losses.py", "my_experiments.py"}
"""Stand for a file of the reader."""
THEIR_OPTIONS = {"--data", "--quick", "--steps"}
"""Options that such a file may have."""


def complaint(words: Sequence[str]) -> str | None:
    """Return why a command cannot be meant, or None; programs that are not ours are taken as they are."""
    words = [word for word in words if not re.fullmatch(r"[A-Z0-9_]+=.*", word)]  # variables before the command
    try:
        match words:
            case ["oneshot", *rest]:
                return _oneshot(rest)
            case ["python", "-m", module, *rest] if module.startswith(("baselines.", "os2d.")):
                return _program(module, rest)
            case ["python" | ".venv/bin/python", script, *rest] if script.endswith(".py"):
                return _script(script, rest)
            case ["make", *rest]:
                return _make(rest)
            case ["pip" | ".venv/bin/pip", "install", *rest]:
                return _extras(" ".join(rest))
            case ["bash", script, *_]:
                return None if (ROOT / script).is_file() else f"there is no {script}"
    except SystemExit:
        return "its options cannot be read"
    except Exception as error:
        if getattr(error, "exit_code", None) == 0:  # --help
            return None
        return str(getattr(error, "message", error))
    return None


def _oneshot(words: Sequence[str]) -> str | None:
    command, rest = typer.main.get_command(app), list(words)
    while children := getattr(command, "commands", None):
        if not rest:
            return None
        if rest[0].startswith("-"):
            return _unknown_option(command, rest)
        name = rest.pop(0)
        if name not in children:
            return f"there is no command {name!r} among {', '.join(children)}"
        command = _forwarded(name, command) or children[name]
    context = command.make_context("oneshot", rest)
    return _unknown_to_file(context)


def _unknown_option(command: Any, words: Sequence[str]) -> str | None:
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return None if words[0] in known else f"no such option: {words[0]}"


def _forwarded(name: str, parent: Any) -> Any:
    """Return the command of another application behind a name, where there is one."""
    table: Mapping[str, tuple[str, str]] = LIBRARY_BENCHMARKS if parent.name == "bench" else LIBRARY_COMMANDS
    if name not in table:
        return None
    module, _, attribute = table[name][0].partition(":")
    command = typer.main.get_command(getattr(import_module(module), attribute))
    return getattr(command, "commands", {}).get(name, command)


def _unknown_to_file(context: Any) -> str | None:
    """Return what neither the command nor its FILE takes."""
    file, options = context.params.get("file"), [word for word in context.args if word.startswith("-")]
    if not options or not context.command.context_settings.get("ignore_unknown_options"):
        return None
    path = ROOT / str(file)
    known = set(ExperimentFile(path).option_names) if path.is_file() else THEIR_OPTIONS
    wrong = [option for option in options if option not in known]
    return f"no such option: {', '.join(wrong)}" if wrong else None


def _script(script: str, words: Sequence[str]) -> str | None:
    if script in PLACEHOLDER_FILES or script.startswith(("experiments/", "docs/examples/")):
        path = ROOT / script
        if script not in PLACEHOLDER_FILES and not path.is_file():
            return f"there is no {script}"
        if script.startswith("docs/"):
            return None
        parser_of(script).parse_known_args(list(words))
        return None
    return _program(script.removesuffix(".py").replace("/", "."), words)


def _program(module: str, words: Sequence[str]) -> str | None:
    """Let a program read its options, and ``main.py`` its keys and values."""
    if not (ROOT / f"{module.replace('.', '/')}.py").is_file():
        return f"there is no program {module}"
    program: Any = import_module(module)
    if module == "main":
        file = Path(words[1]) if words[0] == "--config-file" else None
        program.read_config(file and ROOT / file, words[2:] if file else words)
        return None
    parse: Callable[[], Any] | None = getattr(program, "_parser", None)
    if parse is None:
        return None
    parse().parse_args(list(words))
    return None


def _make(words: Sequence[str]) -> str | None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    wrong = [word for word in words if "=" not in word and word not in targets]
    return f"there is no target {wrong[0]}" if wrong else None


def _extras(words: str) -> str | None:
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    known = set(re.findall(r'^        "(\w+)": \[', setup, re.M))
    wrong = [name for group in re.findall(r"\[([\w,]+)\]", words) for name in group.split(",") if name not in known]
    return f"there is no extra {wrong[0]}" if wrong else None
