"""The runs folder: every trial's folder by signature, and links to them by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from orchestration.claim import Owner
from orchestration.durable import create_whole, link_to, make_folder, to_json, write_whole
from orchestration.errors import JournalError
from orchestration.journal import State, TrialFolder
from orchestration.plan import Entry, Trial
from orchestration.signature import SHOWN_DIGITS, canonical_json, flatten, is_neutral

_BLOCKING = (State.FAILED, State.BLOCKED, State.PRUNED)


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

    def find(self, name: str) -> list[TrialFolder]:
        """Return the trials meant by a signature's first digits, ``<experiment>/<name>``, a name or a path."""
        if (Path(name) / "trial.json").exists():
            return [TrialFolder(Path(name).resolve())]
        by_name = self.root / "by-name"
        for pattern in (f"{name}", f"*/{name}"):
            links = [by_name / name] if pattern == name and "/" in name else []
            links += [path / name for path in by_name.iterdir()] if by_name.is_dir() and "/" not in name else []
            found = {path.resolve() for path in links if path.exists()}
            if found:
                return [TrialFolder(path) for path in sorted(found)]
        return [folder for folder in self.folders() if len(name) >= 4 and folder.signature.startswith(name)]

    def create(self, trial: Trial) -> TrialFolder:
        """Create the folder of a trial, or make sure that the one there is of the same trial.

        Raises:
            JournalError: the folder is of another trial, or cannot be written.
        """
        folder = self.folder(trial.signature)
        description = folder.path / "trial.json"
        if not description.exists():
            make_folder(folder.path)
            if create_whole(description, to_json(trial.as_dict(), indent=1)):
                return folder
        if canonical_json(identity_of(folder.trial)) != canonical_json(identity_of(trial)):
            raise JournalError(
                f"{description}: it describes another trial than {trial.experiment}/{trial.name}, though the signature "
                "is the same; it was changed by hand: restore it, or move the folder away"
            )
        return folder

    def ask(self, trial: Trial, import_paths: Sequence[str]) -> None:
        """Tell the worker and every reader that this process wants the trial run."""
        folder = self.folder(trial.signature)
        last = folder.last_attempt()
        neutral = is_neutral(trial.neutral_keys, "")
        fields = {
            "launcher": vars(Owner.this_process()),
            "attempts_before": last.number if last else 0,
            "resources": vars(trial.resources),
            "settings": {key: value for key, value in flatten(trial.config).items() if neutral(key)},
            "import_paths": list(import_paths),
        }
        write_whole(folder.path / "request.json", to_json(fields, indent=1), durable=False)

    def link(self, entry: Entry) -> None:
        """Let ``by-name/<experiment>/<trial name>`` point to the folder of a trial."""
        experiment = self.root / "by-name" / entry.experiment
        make_folder(experiment)
        link_to(experiment / file_name(entry.name, entry.signature), f"../../{entry.signature}")

    def states(self, trials: Iterable[Trial]) -> dict[str, State]:
        """Return signature -> state of trials in dependency order; what needs a failed one is blocked."""
        states: dict[str, State] = {}
        for trial in trials:
            state = self.folder(trial.signature).state()
            needs = [states[need] if need in states else self.folder(need).state() for need in trial.needs.values()]
            if state not in (State.DONE, State.RUNNING) and any(need in _BLOCKING for need in needs):
                state = State.BLOCKED
            states[trial.signature] = state
        return states


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
    }
