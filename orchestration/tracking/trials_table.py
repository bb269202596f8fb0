"""The list of an experiment's trials: an artifact of its parent run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import NamedTuple

from orchestration.journal import TrialFolder
from orchestration.journal_records import State
from orchestration.signature import SHOWN_DIGITS

TRIALS_FILE = "trials.csv"


class Line(NamedTuple):
    """A trial in the list of an experiment's trials."""

    folder: TrialFolder
    state: State


def trials_csv(lines: Iterable[Line]) -> str:
    """Return every trial of an experiment with its final metrics, one a line: what tables take means of."""
    rows = [(line, line.folder.trial, line.folder.result()) for line in lines]
    metrics = sorted({name for _, _, result in rows if result is not None for name in result.metrics})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "variant", "seed", "state", *metrics, "group", "signature"])
    for line, trial, result in sorted(rows, key=lambda row: (row[1].name, row[1].signature)):
        values = [result.metrics.get(name, "") if result is not None else "" for name in metrics]
        writer.writerow(
            [
                trial.name,
                trial.variant,
                trial.seed,
                line.state.value,
                *values,
                trial.group[:SHOWN_DIGITS],
                trial.signature,
            ]
        )
    return text.getvalue()
