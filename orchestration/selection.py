"""Which trials a pattern on the command line means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from orchestration.runs import Named

FEWEST_DIGITS = 4
"""Of a signature, that tell it from a name."""


def matching(named: Iterable[Named], patterns: Sequence[str]) -> list[Named]:
    """Return the trials that any of the patterns means; all of them without a pattern.

    A pattern is an experiment, a name, ``<experiment>/<name>`` (in each ``*``, ``?`` and ``[...]`` stand for any text),
    or the first digits of a signature.
    """
    return [each for each in named if not patterns or any(_means(pattern, each) for pattern in patterns)]


def _means(pattern: str, named: Named) -> bool:
    if len(pattern) >= FEWEST_DIGITS and named.folder.signature.startswith(pattern):
        return True
    texts = (named.experiment, named.name, f"{named.experiment}/{named.name}")
    return any(text == pattern or fnmatchcase(text, pattern) for text in texts)
