"""What the tracking store says about a trial: tags, parameters, files and status. No MLflow in here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from orchestration.attempt import Attempt
from orchestration.durable import to_json
from orchestration.journal import TrialFolder
from orchestration.journal_records import State
from orchestration.signature import flatten
from orchestration.slurm.current_job import JOB_PREFIX
from orchestration.tracking.metric_names import mlflow_names
from orchestration.trial_description import Trial

KIND = "oneshot.kind"
SIGNATURE = "oneshot.signature"
STATE = "oneshot.state"
REASON = "oneshot.reason"
CODE = "oneshot.code"
NOT_FINITE = "oneshot.not_finite"
LONG_PARAMS = "oneshot.long_params"

LONGEST_PARAM = 6000
"""Characters that MLflow keeps of a parameter; a longer one becomes a file."""
LARGEST_ARTIFACT_BYTES = 50_000_000
"""Larger files stay in the trial's folder only, which the run names in a tag."""

RUN_STATUS: dict[State, str] = {
    State.DONE: "FINISHED",
    State.FAILED: "FAILED",
    State.PRUNED: "KILLED",
    State.CANCELLED: "KILLED",
    State.LOST: "KILLED",
    State.BLOCKED: "KILLED",
    State.PLANNED: "KILLED",
    State.QUEUED: "RUNNING",
    State.RUNNING: "RUNNING",
}
"""The status of the run of a trial that was started at least once."""


def experiment_status(states: Iterable[State]) -> str:
    """Return the status of the parent run of trials in these states."""
    found = set(states)
    if found & {State.RUNNING, State.QUEUED}:
        return "RUNNING"
    if found & {State.FAILED, State.BLOCKED}:
        return "FAILED"
    return "FINISHED" if found <= {State.DONE, State.PRUNED} else "KILLED"


def identity_tags(trial: Trial) -> dict[str, str]:
    """Return the tags a run is created with and found by."""
    return {
        KIND: "trial",
        SIGNATURE: trial.signature,
        "oneshot.group": trial.group,
        "oneshot.experiment": trial.experiment,
        "oneshot.trial": trial.name,
        "oneshot.variant": trial.variant,
        "oneshot.seed": str(trial.seed),
        "oneshot.task": trial.task,
        "oneshot.code_version": trial.code_version,
        **{f"oneshot.need.{name}": signature for name, signature in trial.needs.items()},
        **{f"tag.{stored}": trial.tags[name] for name, stored in mlflow_names(trial.tags).items()},
    }


def progress_tags(folder: TrialFolder, state: State, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Return the tags that change while a trial makes its way."""
    last = attempts[-1]
    commit = git_commit(last.provenance)
    job = last.owner.job.removeprefix(JOB_PREFIX)
    return {
        STATE: state.value,
        REASON: reason(state, attempts),
        CODE: code_of(last.provenance),
        "oneshot.outcome": last.outcome.value if last.outcome else "",
        "oneshot.attempts": str(len(attempts)),
        "oneshot.host": last.host,
        "oneshot.launcher": str(last.provenance.get("launcher", "")),
        **({"oneshot.slurm_job": job} if job else {}),
        "oneshot.folder": str(folder.path),
        "mlflow.source.name": folder.trial.task,
        "mlflow.source.type": "LOCAL",
        **({"mlflow.source.git.commit": commit} if commit else {}),
    }


def params_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return stored key -> text for the whole configuration; text values stay as they are, others become JSON."""
    flat = flatten(config)
    return {
        stored: flat[key] if isinstance(flat[key], str) else to_json(flat[key])
        for key, stored in mlflow_names(flat).items()
    }


def reason(state: State, attempts: Sequence[Attempt]) -> str:
    """Return in words why a trial that was started has no result; empty when there is nothing to explain."""
    if state not in (State.FAILED, State.CANCELLED, State.LOST, State.PRUNED) or not attempts:
        return ""
    ending = attempts[-1].ending
    if ending is None:
        return f"its worker on {attempts[-1].host} vanished"
    times = f" (attempt {len(attempts)})" if state is State.FAILED and len(attempts) > 1 else ""
    return f"{ending.message or ending.outcome.value}{times}"


def git_commit(provenance: Mapping[str, Any]) -> str:
    """Return the commit an attempt ran, or an empty text."""
    return str(provenance.get("git", {}).get("commit") or "")


def code_of(provenance: Mapping[str, Any]) -> str:
    """Return what tells code trees apart: the commit, and whether files were changed since; or an empty text."""
    commit = git_commit(provenance)
    return f"{commit} with changes" if commit and provenance["git"].get("changed") else commit


class Description(NamedTuple):
    """What a run says of its configuration, once."""

    params: dict[str, str]
    texts: dict[str, str]
    tags: dict[str, str]


def described_by(config: Mapping[str, Any], known: Mapping[str, str]) -> Description:
    """Return the configuration as parameters, those that are too long as files that a tag names, and as one file."""
    params = params_of(config)
    files = {f"params/{key}.txt": value for key, value in params.items() if len(value) > LONGEST_PARAM}
    return Description(
        params={k: value for k, value in params.items() if len(value) <= LONGEST_PARAM and k not in known},
        texts={"config.yaml": yaml.safe_dump(config, sort_keys=False, allow_unicode=True), **files},
        tags={LONG_PARAMS: ", ".join(files)} if files else {},
    )


def record_of(folder: TrialFolder, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Return the provenance of all attempts, and where the checkpoints are: those are never copied."""
    provenance = [{"attempt": attempt.number, **attempt.provenance} for attempt in attempts]
    texts = {"provenance.json": json.dumps(provenance, indent=1, default=str)}
    checkpoints = sorted(path for path in folder.checkpoints.glob("*") if path.is_file())
    if checkpoints:
        lines = (f"{path}  {path.stat().st_size} bytes\n" for path in checkpoints)
        texts["checkpoints.txt"] = f"on {attempts[-1].host}:\n{''.join(lines)}"
    return texts


def files_of(folder: TrialFolder, attempts: Sequence[Attempt]) -> Iterator[tuple[Path, str]]:
    """Yield the files that are copied, each with the folder it goes to."""
    if (attempts[-1].folder / "diff.patch").exists():
        yield attempts[-1].folder / "diff.patch", ""
    for file in sorted(path for path in folder.artifacts.rglob("*") if path.is_file()):
        if file.stat().st_size <= LARGEST_ARTIFACT_BYTES:
            inside = file.parent.relative_to(folder.artifacts).as_posix()
            yield file, "" if inside == "." else inside
