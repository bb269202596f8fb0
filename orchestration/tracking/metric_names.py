"""Metric and parameter names as MLflow accepts them.

MLflow takes letters, digits, ``_ - . : /`` and spaces, at most 250 characters, and refuses names that would resolve to
another path. Our names (``grozi-val-new-cl/mAP@0.50``) need more than that. The rule:

* ``@`` becomes ``_at_``;
* any other forbidden character becomes ``_x<HEX>_``, its code point in hexadecimal (``=`` becomes ``_x3D_``);
* a ``/`` that makes the name an unclean path (leading, trailing, doubled) and a leading ``.`` are forbidden characters.

``mAP@0.50`` is stored as ``mAP_at_0.50``. Two names of one run that end up the same are an error, never a merge.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from orchestration.errors import ExitCode, OrchestrationError

MAX_LENGTH = 250

_FORBIDDEN = re.compile(r"[^\w./:\- ]")
_UNCLEAN_DOTS = re.compile(r"(?:(?<=/)|^)\.+(?=/|$)|^\.\.")
_ENCODED = re.compile(r"_at_|_x([0-9A-F]+)_")


class MetricNameError(OrchestrationError):
    """A metric name that cannot be stored in MLflow, or two that cannot be told apart there."""

    exit_code = ExitCode.WRONG_INPUT


def mlflow_name(name: str) -> str:
    """Return the name under which MLflow stores ``name``.

    >>> [mlflow_name(name) for name in ("grozi/mAP@0.50", "lr=0.1", "/loss")]
    ['grozi/mAP_at_0.50', 'lr_x3D_0.1', '_x2F_loss']

    Raises:
        MetricNameError: the name is empty or too long.
    """
    if not name:
        raise MetricNameError("metric name: expected at least one character, got an empty name")
    stored = _FORBIDDEN.sub(_encode, name)
    if _is_unclean_path(stored):
        stored = _UNCLEAN_DOTS.sub(lambda dots: "".join(map(_hex, dots.group())), stored)
    if _is_unclean_path(stored):
        stored = stored.replace("/", _hex("/"))
    if len(stored) > MAX_LENGTH:
        raise MetricNameError(
            f"metric name {name[:60]!r}...: MLflow stores at most {MAX_LENGTH} characters and this name takes "
            f"{len(stored)}; log it under a shorter name"
        )
    return stored


def original_name(stored: str) -> str:
    """Return the name ``stored`` came from: exact unless the original itself contained ``_at_`` or ``_x<HEX>_``."""
    return _ENCODED.sub(_decode, stored)


def mlflow_names(names: Iterable[str]) -> dict[str, str]:
    """Return name -> stored name for the metrics of one run.

    Raises:
        MetricNameError: two of the names would be stored as one.
    """
    stored_by_name: dict[str, str] = {}
    name_by_stored: dict[str, str] = {}
    for name in names:
        stored = mlflow_name(name)
        other = name_by_stored.setdefault(stored, name)
        if other != name:
            raise MetricNameError(
                f"metrics {other!r} and {name!r} of one run would both be stored in MLflow as {stored!r}; "
                "rename one of them"
            )
        stored_by_name[name] = stored
    return stored_by_name


def _is_unclean_path(name: str) -> bool:
    clean = posixpath.normpath(name)
    return clean != name or clean == "." or clean.startswith(("..", "/"))


def _encode(match: re.Match[str]) -> str:
    return "_at_" if match.group() == "@" else _hex(match.group())


def _hex(character: str) -> str:
    return f"_x{ord(character):X}_"


def _decode(match: re.Match[str]) -> str:
    if match.group(1) is None:
        return "@"
    code_point = int(match.group(1), 16)
    return chr(code_point) if code_point <= 0x10FFFF else match.group()
