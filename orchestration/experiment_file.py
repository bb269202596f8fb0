"""A file of descriptions: its experiments and tables, and the options it takes on the command line.

Either the file defines ``Experiment`` and ``Table`` objects (also in lists) at its top level, or a function
``describe`` that returns them and whose parameters become options: ``describe(data: Path, quick: bool = False)``
takes ``--data PATH`` and ``--quick``. What a file imports from another one is not part of it.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from orchestration.describe import Experiment, Table
from orchestration.errors import DescriptionError

Description = Experiment | Table

_TYPES: tuple[type, ...] = (str, int, float, bool, Path)


class ExperimentFile:
    """A file of descriptions that was imported."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DescriptionError(f"{path}: there is no such file; give the path of a file of experiments")
        self.path = path.absolute()
        self._module = _import(self.path)
        function = getattr(self._module, "describe", None)
        own = inspect.isfunction(function) and function.__module__ == self._module.__name__
        self._describe: Callable[..., Any] | None = function if own else None
        self._parser = self._option_parser()

    @property
    def import_paths(self) -> list[str]:
        """Where tasks of this file are imported from, in addition to what is installed."""
        return [str(Path.cwd()), str(self.path.parent)]

    @property
    def option_names(self) -> list[str]:
        """The file's options as typed: ``--data``."""
        return [name for action in self._parser._actions for name in action.option_strings]

    def options_help(self) -> str:
        """Return the list of the file's options, or nothing when it has none."""
        if not self._parser._actions:
            return ""
        formatter = argparse.HelpFormatter(prog="", width=100)
        formatter.start_section(f"Options of {self.path.name}")
        formatter.add_arguments(self._parser._actions)
        formatter.end_section()
        return formatter.format_help().rstrip()

    def descriptions(self, arguments: Sequence[str] = ()) -> list[Description]:
        """Return the experiments and tables for command-line arguments.

        Raises:
            DescriptionError: an option that the file does not have, or a value of the wrong type.
        """
        options, unknown = self._parser.parse_known_args(list(arguments))
        if unknown:
            known = ", ".join(self.option_names)
            raise DescriptionError(
                f"no such option or argument: {' '.join(unknown)}; "
                + (f"{self.path.name} takes: {known}" if known else f"{self.path.name} takes no options of its own")
            )
        if self._describe is None:
            return self._of_module()
        found = self._describe(**vars(options))
        where = f"{self.path.name}: describe()"
        if not isinstance(found, Iterable) or isinstance(found, Mapping):
            raise DescriptionError(f"{where}: expected a list of experiments and tables, got {type(found).__name__}")
        return _checked(found, where)

    def _of_module(self) -> list[Description]:
        imported = _imported_names(self.path)
        found: list[Description] = []
        for name, value in vars(self._module).items():
            if name in imported:
                continue
            if isinstance(value, Experiment | Table):
                found.append(value)
            elif isinstance(value, list | tuple) and any(isinstance(item, Experiment | Table) for item in value):
                found += _checked(value, f"{self.path.name}: {name}")
        return _checked(found, f"{self.path.name}")

    def _option_parser(self) -> argparse.ArgumentParser:
        parser = _Parser(add_help=False, allow_abbrev=False)
        if self._describe is None:
            return parser
        hints = typing.get_type_hints(self._describe)
        for parameter in inspect.signature(self._describe).parameters.values():
            _add_option(parser, parameter, hints.get(parameter.name), self.path.name)
        return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise DescriptionError(message)


def _add_option(parser: argparse.ArgumentParser, parameter: inspect.Parameter, hint: Any, file: str) -> None:
    kind = _plain_type(hint)
    if kind is None or parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise DescriptionError(
            f"{file}: describe(): parameter {parameter.name!r}: expected an annotation among "
            f"{', '.join(one.__name__ for one in _TYPES)}; it becomes a command-line option"
        )
    required = parameter.default is inspect.Parameter.empty
    settings: dict[str, Any] = {"required": required, "default": None if required else parameter.default}
    settings["help"] = "required" if required else f"default: {parameter.default}"
    if kind is bool:
        settings["action"] = argparse.BooleanOptionalAction
    else:
        settings |= {"type": kind, "metavar": kind.__name__.upper()}
    parser.add_argument(f"--{parameter.name.replace('_', '-')}", dest=parameter.name, **settings)


def _plain_type(hint: Any) -> type | None:
    """Return the type of an option; ``X | None`` is an X that may be left out."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        inner = [one for one in typing.get_args(hint) if one is not type(None)]
        hint = inner[0] if len(inner) == 1 else None
    return hint if hint in _TYPES else None


def _checked(found: Iterable[Any], where: str) -> list[Description]:
    descriptions: list[Description] = []
    for item in found:
        if not isinstance(item, Experiment | Table):
            raise DescriptionError(f"{where}: expected experiments and tables, got {type(item).__name__} {item!r:.80}")
        if not any(item is known for known in descriptions):
            descriptions.append(item)
    names = [item.name for item in descriptions if isinstance(item, Experiment)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DescriptionError(f"{where}: two experiments are called {twice[0]!r}; rename one")
    if not descriptions:
        raise DescriptionError(f"{where}: there is no Experiment and no Table in it")
    return descriptions


def _import(path: Path) -> types.ModuleType:
    """Import the file; the working directory and the file's own folder can be imported from."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # behind everything: a file must not hide an installed package
    spec = importlib.util.spec_from_file_location(f"experiment_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise DescriptionError(f"{path}: not a Python file; give the path of a file of experiments")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise DescriptionError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except ModuleNotFoundError as error:
        raise DescriptionError(f"{path}: {error}; run from the folder that contains it, or install it") from error
    return module


def _imported_names(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name.partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
