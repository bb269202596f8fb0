"""What the shell offers after TAB where a trial is meant; typer and the shell know commands, options and files."""

from __future__ import annotations

import os
import re
from pathlib import Path

import typer

from orchestration.runs import Runs

_BREAKS = str.maketrans(dict.fromkeys("=:;|&<>('\"", "?"))
"""Characters at which bash takes a word apart before anybody can complete it, as the wildcard that stands for them."""


def complete_trials(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return ``<experiment>/<name>`` of every trial that was launched and begins like this."""
    root = ctx.params.get("runs") or os.environ.get("ONESHOT_RUNS") or "runs"
    names = [f"{one.experiment}/{one.name}" for one in Runs(Path(root)).names()]
    if not os.environ.get("_ONESHOT_COMPLETE", "").endswith("bash"):
        return [name for name in names if name.startswith(incomplete)]
    words = (name.translate(_BREAKS) for name in names)
    return [re.sub(r"[^\w./,+@%-]", r"\\\g<0>", word) for word in words if word.startswith(incomplete)]
