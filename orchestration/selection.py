"""The trials that a command means: by name, with wildcards, by the first digits of a signature, or by folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from orchestration.errors import DescriptionError
from orchestration.journal import TrialFolder
from orchestration.runs import LEAST_DIGITS, Named, Runs


@dataclass(frozen=True)
class Chosen:
    """A trial, and what people call it."""

    folder: TrialFolder
    name: str


def choose(runs: Runs, patterns: Sequence[str]) -> list[Chosen]:
    """Return the trials that any of the patterns means, each once, sorted by name.

    A pattern is ``<experiment>/<name>`` or a name, both with the wildcards ``*`` and ``?``; the first digits of a
    signature; or the path of a trial's folder.

    Raises:
        DescriptionError: a pattern means no trial.
    """
    names = runs.names()
    found: dict[str, TrialFolder] = {}
    for pattern in patterns:
        meant = _meant_by(pattern, runs, names)
        if not meant:
            raise DescriptionError(f"{pattern}: no such trial in {runs.root}; `oneshot status` lists them")
        found |= {folder.signature: folder for folder in meant}
    return _named(found.values(), names)


def choose_all(runs: Runs) -> list[Chosen]:
    """Return every trial that has a name, sorted by name."""
    names = runs.names()
    return _named({folder.signature: folder for _, _, folder in names}.values(), names)


def choose_planned(runs: Runs, signatures: Iterable[str]) -> list[Chosen]:
    """Return those of the trials that were launched from here, sorted by name."""
    folders = (runs.folder(signature) for signature in dict.fromkeys(signatures))
    return _named((folder for folder in folders if folder.exists()), runs.names())


def one_trial(runs: Runs, text: str) -> TrialFolder:
    """Return the trial meant by a name, with wildcards or not, a signature or a path; an unclear one is an error."""
    found = runs.find(text) or [one.folder for one in choose(runs, [text])]  # a name may hold what is a wildcard, too
    if len(found) == 1:
        return found[0]
    meant = ", ".join(f"{folder.trial.experiment}/{folder.trial.name} ({folder.trial.short})" for folder in found[:5])
    raise DescriptionError(f"{text}: this can be {len(found)} trials, for example {meant}; name one of them")


def _meant_by(pattern: str, runs: Runs, names: Sequence[Named]) -> list[TrialFolder]:
    if TrialFolder(Path(pattern)).exists():
        return [TrialFolder(Path(pattern).resolve())]
    found = [
        folder
        for experiment, name, folder in names
        if pattern in (name, f"{experiment}/{name}")
        or fnmatchcase(f"{experiment}/{name}", pattern)
        or fnmatchcase(name, pattern)
    ]
    if not found and len(pattern) >= LEAST_DIGITS:  # not by name: a name may have gone over to a later trial
        found = [folder for folder in runs.folders() if folder.signature.startswith(pattern)]
    return found


def _named(folders: Iterable[TrialFolder], names: Sequence[Named]) -> list[Chosen]:
    called: dict[str, str] = {}
    for experiment, name, folder in names:
        called.setdefault(folder.signature, f"{experiment}/{name}")
    chosen = [Chosen(folder, called.get(folder.signature) or _own_name(folder)) for folder in folders]
    return sorted(chosen, key=lambda one: one.name)


def _own_name(folder: TrialFolder) -> str:
    return f"{folder.trial.experiment}/{folder.trial.name}"
