"""Which weights file a user means: a path, the name of released weights, or a trial."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from shlex import quote

from os2d.detector.kept_settings import TRIAL
from os2d.download.fetch import place
from os2d.download.how_to_get import find_model_download
from os2d.download.missing_weights import why_missing
from os2d.errors import CheckpointError

MODELS = Path("models")
DEFAULT = MODELS / "os2d_v2-train.pth"
"""Taken when a user names nothing."""

QUICKSTART = "quickstart"
"""The experiment whose trials are offered when there are no released weights."""

BEST = ("checkpoint_best_model_", "best_model")
"""How the names of the best networks start that the trainings of this project keep."""

LAST = "model_final.pth"
FOR_RESUMING = "step_"
SUFFIXES = (".pth", ".pt")


def find_model(name: str | Path | None, runs: Path | None = None) -> Path:
    """Return the weights file that is meant.

    Args:
        name: a weights file, the name of released weights (``os2d_v2-train``), a trial
            (``quickstart/contrastive-seed0``) or its folder, or the output folder of a training; None: the released
            OS2D.
        runs: the folder of all trial folders; None: ``$ONESHOT_RUNS``, else ``runs``.

    Raises:
        CheckpointError: there is no such file; the message says how to get it.
    """
    runs = runs or Path(os.environ.get("ONESHOT_RUNS") or "runs")
    if name is None:
        if DEFAULT.is_file():
            return DEFAULT
        raise CheckpointError(_how_to_begin(runs))
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        return checkpoint_in(path)
    trial = runs / "by-name" / str(name)
    if trial.is_dir():
        return checkpoint_in(trial.resolve())
    released = find_model_download(str(name))
    if released is not None and str(name).lower() == released.name.lower():
        path = Path(place(released.files[0].file, MODELS)) if released.files else MODELS / released.folder
        if path.is_file():
            return path
        raise CheckpointError(f"{name}: released weights that are not in {MODELS}/ yet; {_get(released.name)}")
    raise CheckpointError(_unknown(str(name), path, runs))


def checkpoint_in(folder: Path) -> Path:
    """Return the best network that a training left in its folder, else the last one.

    Raises:
        CheckpointError: it left none, or several best ones.
    """
    files = [
        file
        for place_ in (folder, folder / "checkpoints")
        if place_.is_dir()
        for file in sorted(place_.iterdir())
        if file.suffix in SUFFIXES and not file.name.startswith((FOR_RESUMING, "."))
    ]
    best = [file for file in files if file.name.startswith(BEST)]
    if len(best) > 1:
        raise CheckpointError(f"{folder}: holds several best networks; name the file: {', '.join(map(str, best))}")
    if not files:
        raise CheckpointError(f"{folder}: {_why_empty(folder)}")
    last = [file for file in files if file.name == LAST]
    return (best or last or [max(files, key=_numbers)])[0]


def _why_empty(folder: Path) -> str:
    if not (folder / TRIAL).is_file():
        return "expected a trial's folder, or the output folder of a training, with weights (*.pth) in it; found none"
    if (folder / "result.json").is_file():
        return "this trial is done but kept no network of its own: it evaluates one; name the trial that trained it"
    return "this trial has kept no network yet; look at it with `oneshot status`"


def _numbers(file: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", file.name)))


def _unknown(name: str, path: Path, runs: Path) -> str:
    if path.suffix:
        return why_missing(path)
    trials = trial_names(runs)
    where = f"no trial of {runs} is called so" if trials else f"there are no trials in {runs}"
    return (
        f"{name}: no such model: it is no file, {where}, and no released weights have this name; "
        "`oneshot models fetch --list` lists those, `oneshot status` the trials"
    )


def trial_names(runs: Path) -> list[str]:
    """Return ``<experiment>/<name>`` of every trial in a folder of trials."""
    by_name = runs / "by-name"
    if not by_name.is_dir():
        return []
    return [str(link.relative_to(by_name)) for experiment in sorted(by_name.iterdir()) for link in _trials(experiment)]


def best_trial(runs: Path, experiment: str = QUICKSTART) -> str | None:
    """Return the name of the trained trial of an experiment that did best, by the mean of its mAPs; None: none did."""
    done = [
        (reached, str(link.relative_to(runs / "by-name")))
        for link in _trials(runs / "by-name" / experiment)
        if (reached := _mean_ap(link)) is not None
    ]
    return max(done)[1] if done else None


def _trials(experiment: Path) -> Sequence[Path]:
    return sorted(link for link in experiment.iterdir() if link.is_dir()) if experiment.is_dir() else []


def _mean_ap(trial: Path) -> float | None:
    """Return the mean of the mAPs of a finished trial that kept a network."""
    try:
        checkpoint_in(trial)
        metrics = json.loads((trial / "result.json").read_text(encoding="utf-8"))["metrics"]
    except (CheckpointError, OSError, ValueError, KeyError):
        return None
    values = [value for name, value in metrics.items() if name.startswith("mAP@") and isfinite(value)]
    return sum(values) / len(values) if values else None


def _how_to_begin(runs: Path) -> str:
    message = f"no model is given and {DEFAULT} is not there; {_get('os2d_v2-train')}"
    trial = best_trial(runs)
    if trial is None:
        return f"{message}, or train a small one in minutes: oneshot run experiments/quickstart.py"
    return f"{message}, or take the small one that the quickstart trained: --model {quote(trial)}"


def _get(name: str) -> str:
    return f"get the released weights: oneshot models fetch {name}"
