"""Errors a user can act on, and the exit codes every command and worker shares.

Whoever catches one at the top prints ``error: <message>`` without a traceback and exits with ``exit_code``.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the exit status of ``oneshot`` and of a worker says."""

    DONE = 0
    FAILED = 1  # some trials failed, or the program did
    WRONG_INPUT = 2  # a description, configuration or option that cannot be used: trying again cannot help
    FOLDER = 74  # the runs folder cannot be written or read: full, read-only, damaged
    RESUME_ME = 75  # stopped before the end with everything saved: run it again to continue
    INTERRUPTED = 130  # Ctrl-C, SIGTERM or SIGHUP ended the command


EXIT_CODES_HELP = (
    "Exit codes: 0 everything that was asked for is done; 1 some trials failed; 2 a description, a configuration value "
    "or an option cannot be used; 74 the runs folder cannot be written or read; 130 interrupted (run the same command "
    "again to continue)."
)


class OrchestrationError(Exception):
    """Base of every error that names what was wrong, where, and what to do about it."""

    exit_code: int = ExitCode.FAILED


class DescriptionError(OrchestrationError):
    """An experiment file, experiment, table or task that cannot be used."""

    exit_code = ExitCode.WRONG_INPUT


class OverrideError(DescriptionError):
    """A configuration key that does not exist, or a value of the wrong type."""


class ResourcesError(OrchestrationError):
    """Resources that a trial asks for and that will never be there."""

    exit_code = ExitCode.WRONG_INPUT


class JournalError(OrchestrationError):
    """A folder of the journal that cannot be written, or holds something it should not."""

    exit_code = ExitCode.FOLDER


class StoppedForGoodError(OrchestrationError):
    """A trial that a person cancelled or a scheduler pruned, and that nobody asked for since."""

    exit_code = ExitCode.INTERRUPTED


class NewerFormatError(JournalError):
    """A folder that a newer version of this program wrote."""


class LaunchError(OrchestrationError):
    """A back end that does not start or does not answer."""
