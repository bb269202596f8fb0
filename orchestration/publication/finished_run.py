"""What a finished run left: of a trial, or in the folder of a training command."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestration.durable import read_lines
from orchestration.errors import DescriptionError
from orchestration.journal import TrialFolder
from orchestration.runs import Runs
from orchestration.trial_state import state_of

FINAL, BEST = "model_final.pth", "best_model"
"""File name of a network after its last iteration, and start of that of the best one."""

UNNAMED = "step_"
"""Start of the names of checkpoints that are for resuming alone."""

CONFIGS = ("config.yaml", "config.yml")
LOG = "log.txt"


@dataclass(frozen=True)
class FinishedRun:
    """Everything that is published.

    Args:
        name: for the title.
        checkpoint: the weights file.
        config: YAML of the whole configuration.
        metrics: the final ones.
        curve: file with what was logged on the way.
        logs: title -> file with what the run printed.
        facts: what else is known, for the model card.
    """

    name: str
    checkpoint: Path
    config: str
    metrics: Mapping[str, float]
    curve: Path
    logs: Mapping[str, Path]
    facts: Mapping[str, str] = field(default_factory=dict)


def find_finished_run(text: str, runs: Path, checkpoint: str | None) -> FinishedRun:
    """Return what a trial (its folder, name or signature) or the folder of a training command left.

    Args:
        text: which run.
        runs: the folder of all trial folders.
        checkpoint: file name of the weights; None: the final ones, else the best ones, else the only ones.

    Raises:
        DescriptionError: there is no such run, it is not finished, or a file is missing.
    """
    trials = Runs(runs).find(text)
    if len(trials) > 1:
        raise DescriptionError(f"{text}: means {len(trials)} trials: {', '.join(t.trial.short for t in trials)}")
    if trials:
        return _of_trial(trials[0], checkpoint)
    folder = Path(text)
    if not folder.is_dir():
        raise DescriptionError(
            f"{text}: neither a trial of {runs} nor a folder; name a trial (oneshot status lists them) or the output "
            "folder of a training"
        )
    return _of_folder(folder, checkpoint)


def _of_trial(folder: TrialFolder, checkpoint: str | None) -> FinishedRun:
    trial, result = folder.trial, folder.result()
    if result is None:
        raise DescriptionError(
            f"{folder.path}: trial {trial.experiment}/{trial.name} is {state_of(folder).value}, not done; publish it "
            "when it is"
        )
    attempts = folder.attempts()
    provenance = attempts[-1].provenance if attempts else {}
    commit = (provenance.get("git") or {}).get("commit")
    facts = {
        "task": f"`{trial.task}`, code version {trial.code_version}",
        "trial": f"{trial.experiment}/{trial.name}, signature {trial.signature}",
        "seed": str(trial.seed),
        **({"commit": str(commit)} if commit else {}),
        **{f"content of {name}": digest for name, digest in trial.fingerprints.items()},
    }
    return FinishedRun(
        name=f"{trial.experiment}/{trial.name}",
        checkpoint=_choose(folder.checkpoints, checkpoint),
        config=yaml.safe_dump(_plain(trial.config), sort_keys=False),
        metrics=result.metrics,
        curve=folder.metrics_file,
        logs={
            f"attempt {attempt.number}, {path.name}": path
            for attempt in attempts
            for path in (attempt.stdout, attempt.stderr)
            if path.is_file()
        },
        facts=facts,
    )


def _of_folder(folder: Path, checkpoint: str | None) -> FinishedRun:
    config = next((folder / name for name in CONFIGS if (folder / name).is_file()), None)
    if config is None:
        raise DescriptionError(
            f"{folder}: expected the output folder of a training with {' or '.join(CONFIGS)}, found neither"
        )
    lines = {folder / "metrics.json": _published_line, folder / "metrics.jsonl": _line}
    curve = next((path for path in lines if path.is_file()), None)
    if curve is None:
        raise DescriptionError(f"{folder}: expected {' or '.join(path.name for path in lines)}, found neither")
    metrics: dict[str, float] = {}
    for record in read_lines(curve, 0)[0]:
        metrics |= lines[curve](record)
    log = folder / LOG
    return FinishedRun(
        name=folder.resolve().name,
        checkpoint=_choose(folder, checkpoint),
        config=config.read_text(encoding="utf-8"),
        metrics=metrics,
        curve=curve,
        logs={log.name: log} if log.is_file() else {},
    )


def _published_line(record: Mapping[str, Any]) -> Mapping[str, float]:
    return {name: value for name, value in record.items() if isinstance(value, float | int) and name != "iteration"}


def _line(record: Mapping[str, Any]) -> Mapping[str, float]:
    metrics: Mapping[str, float] = record["metrics"]
    return metrics


def _choose(folder: Path, name: str | None) -> Path:
    """Return the weights to publish."""
    files = {path.name: path for path in sorted(folder.glob("*.pth")) if not path.name.startswith(UNNAMED)}
    if name is not None:
        if name not in files:
            raise DescriptionError(f"{folder / name}: no such checkpoint; there are: {_listed(list(files))}")
        return files[name]
    best = [path for path in files if path.startswith(BEST)]
    candidates = [FINAL] if FINAL in files else best or list(files)
    if len(candidates) != 1:
        raise DescriptionError(
            f"{folder}: expected one final or best checkpoint, there are: {_listed(list(files))}; "
            "choose with --checkpoint, or train with settings that keep one"
        )
    return files[candidates[0]]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none that stay (those named step_* are for resuming alone)"


def _plain(config: Mapping[str, Any]) -> Any:
    """Return the configuration as YAML knows it, without what shares memory: no anchors."""
    return json.loads(json.dumps(config))
