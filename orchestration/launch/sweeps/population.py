"""Population based training: members take turns, and the worst go on from copies of the best with other settings.

After every interval a member is compared with the others, as soon as all of them have come so far; until then it goes
on. Its turn ends when it is to be replaced, or after an interval when others are behind and wait for its place. What a
member has become is in its folder: ``perturbed.json`` and a copy of the donor's checkpoint; its signature does not
change.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from orchestration.checkpoints import Checkpoints
from orchestration.describe import PBT, Sweep
from orchestration.errors import DescriptionError
from orchestration.journal import TrialFolder
from orchestration.journal_records import Perturbation, State
from orchestration.launch.sweeps.contract import Rule
from orchestration.plan import Plan
from orchestration.resolve import defaults_of
from orchestration.runs import Runs
from orchestration.spaces import Choice, Domain, LogUniform, RandInt, Uniform
from orchestration.sweep.record import SweepRecord
from orchestration.trial_description import Trial
from orchestration.trial_state import state_of


@dataclass
class Member:
    """Where a member stands.

    Args:
        trial: its signature never changes.
        step: how far it is.
        scores: number of an interval -> the first value of the metric after it.
        judged: after how many intervals it has been compared, or could have been.
        is_open: not done and not given up.
        is_active: somebody starts or runs a worker of it.
    """

    trial: Trial
    step: int = 0
    scores: dict[int, float] = field(default_factory=dict)
    judged: int = 0
    is_open: bool = True
    is_active: bool = False

    def take(self, step: int, value: float, interval: int) -> None:
        """Take a value as the score after every interval that is over and has none yet."""
        self.step = step
        for number in range(self.judged + 1, step // interval + 1):
            self.scores.setdefault(number, value)


class PopulationRun:
    """One run of the driver of a population. Arguments as for ``PointRun``."""

    def __init__(
        self, sweep: Sweep, planned: Plan, runs: Runs, record: SweepRecord, import_paths: Sequence[str] | None
    ) -> None:
        if not isinstance(sweep.scheduler, PBT):
            raise DescriptionError(f"sweep {sweep.name!r}: scheduler: expected PBT, got {sweep.scheduler!r}")
        self.sweep = sweep
        self.on_new_trial: Callable[[Trial], object] = lambda trial: None
        self.trials = planned.trials_of(sweep.name)
        self._pbt = sweep.scheduler
        self._runs = runs
        self._record = record
        self._import_paths = import_paths
        self._members = {trial.signature: self._member(trial) for trial in self.trials}

    def begin(self, rule: Rule) -> None:
        """Say who looks after the members; a population has its own rule."""
        for member in self._open():
            self._runs.ask(member.trial, self._import_paths)

    @property
    def is_finished(self) -> bool:
        """Whether every member has come to its end."""
        return not self._open()

    def next_trial(self) -> Trial | None:
        """Return the member that is furthest behind, after it has been replaced if that is its lot."""
        for member in sorted(self._open(), key=lambda member: member.step):
            folder = self._runs.folder(member.trial.signature)
            if member.is_active:
                continue
            if folder.is_done() or folder.cancel_wish() is not None:
                member.is_open = False
                continue
            last = folder.last_attempt()
            if last is not None and last.is_live():  # it was asked to stop a moment ago
                continue
            self._runs.ask(member.trial, self._import_paths)  # each turn has its own budget of failures
            if self._can_be_judged(member):
                donor = self._donor(member)
                member.judged += 1
                if donor is not None:
                    self._replace(member, donor)
            member.is_active = True
            return member.trial
        return None

    def learn(self, signature: str, step: int, value: float) -> bool:
        """Tell whether the member's turn ends here: it is to be replaced, or others are behind and wait."""
        member = self._members[signature]
        member.take(step, value, self._pbt.interval)
        if step < (member.judged + 1) * self._pbt.interval or self._is_at_its_end(member):
            return False
        if any(not other.is_active and other.step < step for other in self._open()):
            return True
        if not self._can_be_judged(member):
            return False
        is_replaced = self._donor(member) is not None
        member.judged += not is_replaced
        return is_replaced

    def note_end(self, signature: str, failed: bool) -> None:
        """Take notice that a turn is over, the member at its end, or given up."""
        member = self._members[signature]
        member.is_active = False
        member.is_open = not failed and not self._runs.folder(signature).is_done()

    def reasons(self) -> dict[str, str]:
        """Return nothing: a member without a score is not compared."""
        return {}

    def _open(self) -> list[Member]:
        return [member for member in self._members.values() if member.is_open]

    def _member(self, trial: Trial) -> Member:
        """Return where earlier runs of the driver have left a member; what it missed meanwhile is not made up for."""
        folder = self._runs.folder(trial.signature)
        copied = folder.perturbation()
        began = max((event.time_ms for event in folder.events() if event.kind == "exploited"), default=0)
        steps = [
            point.step
            for point in folder.metrics_from(0)[0]
            if point.name == self.sweep.metric and point.time_ms >= began
        ]
        if copied is not None and (not steps or not _has_taken_over(folder, copied)):
            steps = [copied.step]
        step = max(steps, default=0)
        return Member(trial, step, judged=step // self._pbt.interval, is_open=state_of(folder) is not State.DONE)

    def _is_at_its_end(self, member: Member) -> bool:
        beat = self._runs.folder(member.trial.signature).heartbeat()
        return beat is not None and 0 < beat.total <= member.step

    def _can_be_judged(self, member: Member) -> bool:
        """Tell whether the member and every other one have come to the end of its next interval."""
        number = member.judged + 1
        return number in member.scores and all(
            number in other.scores or other.judged >= number for other in self._open()
        )

    def _donor(self, member: Member) -> Member | None:
        """Return whom the member is replaced by; None when it is good enough."""
        sign = 1.0 if self.sweep.mode == "max" else -1.0
        ranked = sorted(
            (-math.inf if math.isnan(score) else sign * score, other.trial.signature, other)
            for other in self._open()
            if (score := other.scores.get(member.judged + 1)) is not None
        )
        count = min(math.ceil(len(ranked) * self._pbt.quantile), len(ranked) // 2)
        worst, best = ranked[:count], ranked[len(ranked) - count :]
        if not any(member is one for _, _, one in worst):
            return None
        return self._random(member).choice([one for _, _, one in best])

    def _replace(self, member: Member, donor: Member) -> None:
        """Let the member go on from the donor's newest checkpoint; nothing happens while there is none."""
        folder, source = self._runs.folder(member.trial.signature), self._runs.folder(donor.trial.signature)
        before, theirs = folder.perturbation(), source.perturbation()
        generation = before.generation + 1 if before else 1
        step = Checkpoints(folder.checkpoints).copy_newest(Checkpoints(source.checkpoints), generation)
        if step is None:
            return
        known = {**donor.trial.point, **(theirs.settings if theirs else {})}
        near = perturbed(known, self.sweep.domains, self._pbt, self._random(member))
        settings = defaults_of(member.trial.task).typed(near, f"sweep {self.sweep.name!r}, domains")
        folder.perturb(Perturbation(generation, step, donor.trial.signature, settings))
        self._record.note_exploited(member.trial.signature, donor.trial.signature, step, settings)
        member.step, member.judged = step, max(member.judged, step // self._pbt.interval)
        member.scores = {number: score for number, score in member.scores.items() if number <= member.judged}

    def _random(self, member: Member) -> random.Random:
        text = f"{self._pbt.seed}/{member.trial.signature}/{member.judged}"
        return random.Random(int.from_bytes(sha256(text.encode()).digest()[:8], "big"))


def perturbed(
    settings: Mapping[str, Any], domains: Mapping[str, Domain], pbt: PBT, source: random.Random
) -> dict[str, Any]:
    """Return settings near the given ones, each within its domain; some are drawn anew."""
    return {
        key: domain.at(source.random()) if source.random() < pbt.resample else _near(settings[key], domain, pbt, source)
        for key, domain in domains.items()
    }


def _near(value: Any, domain: Domain, pbt: PBT, source: random.Random) -> Any:
    if isinstance(domain, Choice):
        place = domain.place(value) + source.choice([-1, 1])
        return domain.values[min(max(place, 0), len(domain.values) - 1)]
    moved = value * source.choice(pbt.factors)
    if isinstance(domain, RandInt):
        return min(max(round(moved), domain.low), domain.high - 1)
    if isinstance(domain, Uniform | LogUniform):
        return min(max(moved, domain.low), domain.high)
    raise TypeError(f"{domain!r} is not one of the domains of orchestration.describe")


def _has_taken_over(folder: TrialFolder, copied: Perturbation) -> bool:
    """Tell whether a worker has gone on from the copy; until then what was measured is older than the copy."""
    return not (folder.checkpoints / f"donated_{copied.generation}.pth").exists()
