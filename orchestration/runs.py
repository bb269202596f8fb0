"""The runs folder: every trial's folder by signature, and links to them by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from orchestration.claim import Owner
from orchestration.durable import link_to, make_folder
from orchestration.errors import JournalError, NewerFormatError
from orchestration.journal import TrialFolder
from orchestration.journal_records import Request, State
from orchestration.plan import Entry
from orchestration.signature import SHOWN_DIGITS, canonical_json, flatten, is_neutral
from orchestration.trial_description import Trial
from orchestration.trial_state import state_of

LEAST_DIGITS = 4
"""Of a signature, where it stands for its trial."""

_BLOCKING = (State.FAILED, State.BLOCKED, State.PRUNED)


class Named(NamedTuple):
    """A name that was given to a trial."""

    experiment: str
    name: str
    folder: TrialFolder


class Runs:
    """The folder of all trial folders."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def folder(self, signature: str) -> TrialFolder:
        """Return the folder of a trial, whether it exists or not."""
        return TrialFolder(self.root / signature)

    def folders(self) -> list[TrialFolder]:
        """Return the folders of every trial ever launched from here."""
        if not self.root.is_dir():
            return []
        paths = (path for path in self.root.iterdir() if len(path.name) == 64)
        return [folder for folder in map(TrialFolder, sorted(paths)) if folder.exists()]

    def names(self) -> list[Named]:
        """Return every name ever given to a trial, sorted by experiment and name."""
        by_name = self.root / "by-name"
        if not by_name.is_dir():
            return []
        return [
            Named(experiment.name, link.name, self.folder(os.readlink(link).rpartition("/")[2]))  # noqa: PTH115 - of thousands
            for experiment in sorted(os.scandir(by_name), key=lambda entry: entry.name)
            for link in sorted(os.scandir(experiment), key=lambda entry: entry.name)
            if link.is_symlink()
        ]

    def find(self, text: str) -> list[TrialFolder]:
        """Return the trials meant by a path, ``<experiment>/<name>``, a name, or the first digits of a signature."""
        if TrialFolder(Path(text)).exists():
            return [TrialFolder(Path(text).resolve())]
        found = {
            folder.signature for experiment, name, folder in self.names() if text in (name, f"{experiment}/{name}")
        }
        if len(text) >= LEAST_DIGITS:  # not by name: a name may have gone over to a later trial
            found |= {folder.signature for folder in self.folders() if folder.signature.startswith(text)}
        return [self.folder(signature) for signature in sorted(found)]

    def create(self, trial: Trial) -> TrialFolder:
        """Create the folder of a trial, or make sure that the one there is of the same trial.

        Raises:
            JournalError: the folder is of another trial, or cannot be written.
        """
        folder = self.folder(trial.signature)
        if not folder.exists() and TrialFolder.create(folder.path, trial):
            return folder
        if canonical_json(identity_of(folder.trial)) != canonical_json(identity_of(trial)):
            raise JournalError(
                f"{folder.path / 'trial.json'}: it describes another trial than {trial.experiment}/{trial.name}, "
                "though the signature is the same; it was changed by hand: restore it, or move the folder away"
            )
        return folder

    def ask(self, trial: Trial, import_paths: Sequence[str] | None) -> None:
        """Tell the worker and every reader that this process wants the trial run, whoever wanted it stopped before.

        Args:
            trial: its neutral settings and resources are those of the request.
            import_paths: where its task is imported from; None: from where it was at the last request.
        """
        folder = self.folder(trial.signature)
        last = folder.last_attempt()
        neutral = is_neutral(trial.neutral_keys, "")
        settings = {key: value for key, value in flatten(trial.config).items() if neutral(key)}
        before = folder.request()
        if import_paths is None:
            import_paths = before.import_paths if before else ()
        folder.forget_wishes()
        folder.ask(
            Request(
                launcher=Owner.this_process(),
                attempts_before=last.number if last else 0,
                resources=trial.resources,
                settings=settings,
                import_paths=tuple(import_paths),
                job=before.job if before else "",  # it may still be waiting in the queue
            )
        )

    def note_job(self, signature: str, job: str) -> None:
        """Tell every reader which job of the cluster's scheduler runs the trial."""
        self.folder(signature).note_job(job)

    def withdraw(self, trial: Trial) -> None:
        """Tell every reader that this process no longer looks after the trial."""
        folder = self.folder(trial.signature)
        request = folder.request()
        if request is not None and request.launcher == Owner.this_process():
            folder.ask(replace(request, launcher=None))

    def link(self, entry: Entry) -> None:
        """Let ``by-name/<experiment>/<trial name>`` point to the folder of a trial."""
        experiment = self.root / "by-name" / entry.experiment
        make_folder(experiment)
        link_to(experiment / file_name(entry.name, entry.signature), f"../../{entry.signature}")

    def states(self, trials: Iterable[Trial]) -> dict[str, State]:
        """Return signature -> state of planned trials; one that needs a failed one is blocked."""
        look = _Look(self)
        return {trial.signature: look.state(self.folder(trial.signature), trial.needs) for trial in trials}

    def states_of(self, folders: Iterable[TrialFolder]) -> dict[str, State]:
        """Return signature -> state of trials that have a folder."""
        look = _Look(self)
        return {folder.signature: look.state(folder) for folder in folders}


class _Look:
    """One look at many trials: each of them, and each launcher, is looked at once."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._known: dict[str, State] = {}
        self._lives = cache(Owner.is_alive)

    def state(self, folder: TrialFolder, needs: Mapping[str, str] | None = None) -> State:
        """Return the state of a trial; ``needs`` saves reading them from its folder."""
        state = self._known.get(folder.signature)
        if state is None:
            try:
                state = self._find(folder, needs)
            except NewerFormatError:
                state = State.UNKNOWN
            self._known[folder.signature] = state
        return state

    def _find(self, folder: TrialFolder, needs: Mapping[str, str] | None) -> State:
        try:
            state = state_of(folder, self._lives)
            if state in (State.DONE, State.RUNNING):
                return state
        except (TypeError, KeyError, ValueError):
            _ = folder.trial  # says so when a newer version wrote the folder
            raise
        needed = folder.needs() if needs is None else needs
        return State.BLOCKED if any(self._blocks(need) for need in needed.values()) else state

    def _blocks(self, need: str) -> bool:
        folder = self._runs.folder(need)
        state = self.state(folder)
        return state in _BLOCKING or (state is State.CANCELLED and folder.cancel_wish() is not None)


def file_name(name: str, signature: str) -> str:
    """Return a trial's name as a file name: without slashes, at most 200 bytes."""
    plain = name.replace("/", "_")
    if plain == name and len(plain.encode()) <= 200:
        return plain
    return f"{plain.encode()[:180].decode(errors='ignore')}~{signature[:SHOWN_DIGITS]}"


def identity_of(trial: Trial) -> dict[str, Any]:
    """Return everything the signature of a trial is made of."""
    neutral = is_neutral(trial.neutral_keys, "")
    return {
        "task": trial.task,
        "code_version": trial.code_version,
        "config": {key: value for key, value in flatten(trial.config).items() if not neutral(key)},
        "seed": trial.seed,
        "needs": dict(trial.needs),
        "fingerprints": dict(trial.fingerprints),
        **({"population": dict(trial.population)} if trial.population else {}),
    }
