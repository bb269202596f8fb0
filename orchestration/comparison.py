"""Why two trials are two: what differs between them, and whether it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.signature import flatten, is_neutral
from orchestration.trial_description import Trial

ABSENT = "(absent)"


@dataclass(frozen=True)
class Difference:
    """One value that two trials do not share.

    Args:
        what: ``task``, ``code_version``, ``seed``, a configuration key, ``data <name>`` or ``need <name>``.
        first: its value in the first trial.
        second: its value in the second one.
        counts: whether it can change a result; where nothing that counts differs, the signatures are equal.
    """

    what: str
    first: Any
    second: Any
    counts: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def differences(first: Trial, second: Trial) -> list[Difference]:
    """Return what differs between two trials, what counts first."""
    neutral_in_first = is_neutral(first.neutral_keys, "")
    neutral_in_second = is_neutral(second.neutral_keys, "")
    ours, theirs = _values(first), _values(second)
    found = [
        Difference(
            what,
            ours.get(what, ABSENT),
            theirs.get(what, ABSENT),
            not (neutral_in_first(what) and neutral_in_second(what)),
        )
        for what in dict.fromkeys([*ours, *theirs])
        if ours.get(what, ABSENT) != theirs.get(what, ABSENT)
    ]
    return sorted(found, key=lambda difference: not difference.counts)


def print_differences(first: Trial, second: Trial, found: list[Difference], console: Console) -> None:
    """Print the differences beside each other."""
    if not found:
        console.print(f"{first.short} and {second.short} are the same trial", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for trial in (first, second):
        table.add_column(Text(f"{trial.experiment}/{trial.name} ({trial.short})"), overflow="fold")
    for difference in found:
        what = Text(difference.what, style="" if difference.counts else "dim")
        table.add_row(what, Text(str(difference.first)), Text(str(difference.second)))
    console.print(table)
    if not all(difference.counts for difference in found):
        console.print("pale: cannot change a result, so it is not part of the signature", highlight=False)


def _values(trial: Trial) -> Mapping[str, Any]:
    return {
        "task": trial.task,
        "code_version": trial.code_version,
        "seed": trial.seed,
        **flatten(trial.config),
        **{f"data {name}": print_ for name, print_ in trial.fingerprints.items()},
        **{f"need {name}": signature for name, signature in trial.needs.items()},
    }
