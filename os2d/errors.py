"""Errors a user can act on.

Whoever runs a task (``main.py`` or an orchestrator's worker) prints the message without a traceback and
exits with ``exit_code``. An exit code of 2 means that trying again without a change cannot help.
"""


class Os2dError(Exception):
    """Base of every error that names what was wrong, where, and what to do about it."""

    exit_code = 2


class ConfigError(Os2dError):
    """A configuration key or value that cannot be used."""


class DataError(Os2dError):
    """A data set, annotation row or image that cannot be used."""


class CheckpointError(Os2dError):
    """A weights file that is unreadable or does not fit the model."""


class DeviceError(Os2dError):
    """A device was asked for that this machine does not have."""


class TrainingDivergedError(Os2dError):
    """The loss or the gradient is no longer a finite number."""


class DownloadError(Os2dError):
    """A file that could not be fetched or unpacked."""


class DownloadInterruptedError(DownloadError):
    """A transfer that broke off; the same command continues it."""

    exit_code = 75
