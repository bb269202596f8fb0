"""Data sets and weight files that trials read and that are not on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestration.errors import DescriptionError
from orchestration.trial_description import Trial

MOST_NAMED = 3


@dataclass
class Missing:
    """What one way of getting it would bring.

    Args:
        how: to get it.
        inputs: the message about each, once.
        trials: signatures of the trials that read one of them.
    """

    how: str
    inputs: dict[str, None] = field(default_factory=dict)
    trials: set[str] = field(default_factory=set)

    @property
    def text(self) -> str:
        """One line for people."""
        whats = [message.removesuffix(f"; {self.how}") for message in self.inputs]
        more = f" and {len(whats) - MOST_NAMED} more" if len(whats) > MOST_NAMED else ""
        return f"{', '.join(whats[:MOST_NAMED])}{more}; {self.how}"


def is_missing(fingerprint: str) -> bool:
    """Tell whether a task put a message in the place of a fingerprint: one that also says ``how`` to get the input."""
    return hasattr(fingerprint, "how")


def missing_inputs(trials: Iterable[Trial]) -> list[Missing]:
    """Return what trials read and this machine lacks, in their order."""
    found: dict[str, Missing] = {}
    for trial in trials:
        for fingerprint in trial.fingerprints.values():
            if is_missing(fingerprint):
                how = str(getattr(fingerprint, "how"))  # noqa: B009 - a task's own class, which nothing here imports
                missing = found.setdefault(how, Missing(how))
                missing.inputs[fingerprint] = None
                missing.trials.add(trial.signature)
    return list(found.values())


def require_inputs(trials: Iterable[Trial]) -> None:
    """Make sure that everything that trials read is there.

    Raises:
        DescriptionError: something is not; the message says what, and how to get it.
    """
    missing = missing_inputs(trials)
    if missing:
        lines = "\n".join(f"  {one.text}" for one in missing)
        raise DescriptionError(f"nothing was started, because this machine lacks what the trials read:\n{lines}")
