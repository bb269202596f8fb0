"""The ``oneshot`` command. Every command is a thin front of a function elsewhere; heavy libraries load only on use."""

from __future__ import annotations

import sys

import typer

from orchestration.cli import bench, library, lifecycle, results, starter, trials
from orchestration.cli.options import app
from orchestration.errors import ExitCode

__all__ = ["app", "bench", "library", "lifecycle", "main", "results", "starter", "trials"]


def main() -> None:
    """Run the command line; every error a user can act on is one message and an exit code."""
    try:
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Exception as error:
        code = _exit_code(error)
    sys.exit(code if isinstance(code, int) else ExitCode.DONE)


def _exit_code(error: Exception) -> int:
    """Print the error and return its code, or raise it when it is not one a user can act on."""
    if hasattr(error, "format_message"):  # the command line itself was wrong
        message = error.format_message()
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message)
            return ExitCode.WRONG_INPUT
        print(f"error: {message}", file=sys.stderr)
        return ExitCode.WRONG_INPUT
    code = getattr(error, "exit_code", None)
    if isinstance(error, typer.Abort):
        return ExitCode.INTERRUPTED
    if not isinstance(code, int):
        raise error
    print(f"error: {error}", file=sys.stderr)
    return code
