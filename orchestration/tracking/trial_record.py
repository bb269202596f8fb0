"""What the tracking store says about a trial: tags, parameters and status. No MLflow in here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestration.attempt import Attempt
from orchestration.durable import to_json
from orchestration.journal import TrialFolder
from orchestration.journal_records import State
from orchestration.signature import flatten
from orchestration.slurm.around import JOB_PREFIX
from orchestration.tracking.metric_names import mlflow_names
from orchestration.trial_description import Trial

KIND = "oneshot.kind"
SIGNATURE = "oneshot.signature"
STATE = "oneshot.state"
REASON = "oneshot.reason"
CODE = "oneshot.code"
NOT_FINITE = "oneshot.not_finite"
LONG_PARAMS = "oneshot.long_params"

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
