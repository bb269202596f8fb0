"""Where trials stand, as read from their folders: the states of all, and the details of those that are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from orchestration.attempt import Attempt
from orchestration.errors import DescriptionError, NewerFormatError
from orchestration.journal import TrialFolder
from orchestration.journal_records import Heartbeat, State
from orchestration.plan import Plan
from orchestration.resources import Resources
from orchestration.runs import Named, Runs
from orchestration.selection import Chosen
from orchestration.trial_description import Trial

LIVE = (State.RUNNING, State.QUEUED)

STATE_STYLE = {
    State.DONE: "green",
    State.RUNNING: "cyan",
    State.FAILED: "red",
    State.BLOCKED: "red",
    State.LOST: "yellow",
    State.CANCELLED: "yellow",
}

_FIRST = (State.RUNNING, State.FAILED, State.LOST, State.BLOCKED, State.UNKNOWN, State.CANCELLED, State.QUEUED)
_LAST = (State.PRUNED, State.DONE)


@dataclass(frozen=True)
class StatusLine:
    """Where one trial stands.

    Args:
        experiment: that asks for it.
        name: by which it does.
        signature: of the trial.
        state: as its folder tells.
        step: of the task; 0 while unknown.
        total: steps; 0 while unknown.
        metric: name of the shown value; empty when none was logged.
        value: of that metric, as logged last.
        eta_seconds: until the last step at the rate of the current attempt; None unless it runs and tells its steps.
        resources: what it occupies while it runs.
        host: of the last attempt.
        job: of the cluster's scheduler; empty without one.
        attempts: that were started.
        message: why it did not finish.
    """

    experiment: str
    name: str
    signature: str
    state: State
    step: int = 0
    total: int = 0
    metric: str = ""
    value: float | None = None
    eta_seconds: float | None = None
    resources: Resources | None = None
    host: str = ""
    job: str = ""
    attempts: int = 0
    message: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "state": self.state.value}


class Change(NamedTuple):
    """A trial that stands elsewhere than at the look before."""

    named: Named
    before: State
    after: State


class Board:
    """Trials by the names under which they are asked for, and where they stood when somebody looked last.

    Args:
        runs: the folder of all trial folders.
        named: the trials.
        planned: those of them that may have no folder yet.
    """

    def __init__(self, runs: Runs, named: Sequence[Named], planned: Iterable[Trial] = ()) -> None:
        self.named = named
        self._runs = runs
        self._planned = {trial.signature: trial for trial in planned}
        self._states: dict[str, State] = {}

    def add(self, trial: Trial) -> None:
        """Take in a trial that was planned since; a sweep chooses some of its trials while others run."""
        named = Named(trial.experiment, trial.name, self._runs.folder(trial.signature))
        self._planned[trial.signature] = trial
        self._states.setdefault(trial.signature, State.PLANNED)
        self.named = [*self.named, named]

    def look(self) -> list[Change]:
        """Look at every trial that was not done before; return what changed since the last look."""
        unfinished = {
            each.folder.signature: each for each in self.named if self._states.get(each.folder.signature) != State.DONE
        }
        planned = [self._planned[signature] for signature in unfinished if signature in self._planned]
        others = [each.folder for signature, each in unfinished.items() if signature not in self._planned]
        found = {**self._runs.states(planned), **self._runs.states_of(others)}
        changes = [
            Change(each, self._states[signature], found[signature])
            for signature, each in unfinished.items()
            if self._states.get(signature, found[signature]) is not found[signature]
        ]
        self._states |= found
        return changes

    def state(self, named: Named) -> State:
        """Return where a trial stood at the last look."""
        return self._states[named.folder.signature]

    def states(self) -> list[State]:
        """Return where every trial stood at the last look; one that has several names counts once."""
        return list(self._states.values())

    def is_live(self) -> bool:
        """Tell whether something runs, or waits for a launcher that lives."""
        return any(state in LIVE for state in self._states.values())

    def urgent_first(self, only: Sequence[State] = ()) -> list[Named]:
        """Return the trials in these states (none given: in any), those first that somebody may want to look after."""
        rank = {state: i for i, state in enumerate((*_FIRST, *(s for s in State if s not in _FIRST + _LAST), *_LAST))}
        chosen = [each for each in self.named if not only or self.state(each) in only]
        return sorted(chosen, key=lambda each: rank[self.state(each)])

    def line(self, named: Named, metric: str | None = None) -> StatusLine:
        """Return the details of a trial, with this metric or the one logged last."""
        state, folder = self.state(named), named.folder
        if state is State.UNKNOWN:
            return StatusLine(*named[:2], folder.signature, state, message=_why_unknown(folder))
        if state is State.PLANNED:
            planned = self._planned.get(folder.signature)
            return StatusLine(*named[:2], folder.signature, state, resources=planned.resources if planned else None)
        last, beat, newest = folder.last_attempt(), folder.heartbeat(), folder.newest(metric)
        request = folder.request()
        message = last.ending.message if last and last.ending and state is not State.RUNNING else ""
        running = state is State.RUNNING and last is not None and beat is not None
        return StatusLine(
            *named[:2],
            folder.signature,
            state,
            step=max(beat.step if beat else 0, newest.step if newest else 0),
            total=beat.total if beat else 0,
            metric=newest.name if newest else "",
            value=newest.value if newest else None,
            eta_seconds=seconds_left(folder, last, beat) if running and last and beat else None,
            resources=request.resources if request else folder.trial.resources,
            host=last.host if last else "",
            job=(request.job if request else "") or (last.owner.job if last else ""),
            attempts=last.number if last else 0,
            message=message,
        )

    def lines(self, only: Sequence[State] = (), metric: str | None = None) -> list[StatusLine]:
        """Return the details of all trials in these states (none given: in any), in the order of their names."""
        return [self.line(each, metric) for each in self.named if not only or self.state(each) in only]


def board_of_plan(plan: Plan, runs: Runs, patterns: Sequence[str] = ()) -> Board:
    """Return the board of every request of a plan, or of those whose (experiment/)name fits one of the patterns."""
    named = [
        Named(entry.experiment, entry.name, runs.folder(entry.signature))
        for entry in plan.entries
        if not patterns
        or any(fnmatchcase(text, p) for p in patterns for text in (entry.name, f"{entry.experiment}/{entry.name}"))
    ]
    return Board(runs, named, plan.trials)


def board_of_names(runs: Runs, chosen: Iterable[Chosen] | None = None) -> Board:
    """Return the board of every name ever given to a trial, or of the names of chosen trials."""
    if chosen is None:
        return Board(runs, runs.names())
    signatures = {each.folder.signature for each in chosen}
    return Board(runs, [each for each in runs.names() if each.folder.signature in signatures])


def states_called(names: str) -> tuple[State, ...]:
    """Return the states of a list such as ``failed,running``."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in list(State):
            raise DescriptionError(f"--state {name}: there is no such state; there are: {', '.join(State)}")
    return tuple(State(name) for name in wanted)


def board_of_trials(trials: Sequence[Trial], runs: Runs) -> Board:
    """Return the board of planned trials under their own names."""
    return Board(runs, [Named(t.experiment, t.name, runs.folder(t.signature)) for t in trials], trials)


def seconds_left(folder: TrialFolder, attempt: Attempt, beat: Heartbeat) -> float | None:
    """Return how long a running attempt will take to its last step at the rate it had so far; None while unknown."""
    if beat.attempt != attempt.number or not beat.total:
        return None
    resumed = [event.details.get("step", 0) for event in folder.events() if event.attempt == attempt.number]
    made = beat.step - max(resumed, default=0)
    seconds = beat.time - attempt.started_ms / 1000
    return (beat.total - beat.step) * seconds / made if made > 0 and seconds > 0 else None


def _why_unknown(folder: TrialFolder) -> str:
    try:
        return f"{folder.trial.name} can be read now; look again"
    except NewerFormatError as error:
        return str(error)


def counts(states: Iterable[State]) -> str:
    """Return how many trials are in which state, in words."""
    number = Counter(states)
    return ", ".join(f"{number[state]} {state}" for state in State if number[state]) or "no trials"


def counts_by_experiment(board: Board) -> Mapping[str, Counter[State]]:
    """Return experiment -> state -> number of names in that state."""
    found: dict[str, Counter[State]] = {}
    for each in board.named:
        found.setdefault(each.experiment, Counter())[board.state(each)] += 1
    return found
