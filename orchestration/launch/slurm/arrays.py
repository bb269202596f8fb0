"""Which trials go together into one array of jobs, and what each array waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestration.resources import Resources
from orchestration.slurm.current_job import JOB_PREFIX
from orchestration.trial_description import Trial


@dataclass(frozen=True)
class Array:
    """Trials that ask for the same, with one limit on how many run at a time.

    Args:
        resources: of each.
        trials: index -> trial.
        dependency: as ``sbatch`` takes it; empty when nothing is waited for.
    """

    resources: Resources
    trials: Mapping[int, Trial]
    dependency: str = ""

    @property
    def indices(self) -> str:
        """The indices as ``sbatch --array`` takes them: 0-3,7."""
        parts: list[list[int]] = []
        for index in sorted(self.trials):
            if parts and parts[-1][1] == index - 1:
                parts[-1][1] = index
            else:
                parts.append([index, index])
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def arrays(
    trials: Sequence[Trial],
    jobs: Mapping[str, str],
    resources_of: Callable[[Resources], Resources],
    largest: int,
) -> list[Array]:
    """Return the arrays of trials all of whose needs are done or have a job.

    A trial that waits for one element of an array gets that element's index in an array of its own, so that SLURM
    matches them (``aftercorr``) and one submission serves them all; several that wait for the same element are put
    into several arrays. Whatever waits for more than one job names them (``afterok``).

    Args:
        trials: to submit.
        jobs: signature -> job of what is not done.
        resources_of: changes the resources of a trial to those of this launch.
        largest: MaxArraySize of the cluster; indices stay below it.
    """
    groups: dict[tuple[Resources, str, int], dict[int, Trial]] = {}
    siblings: Counter[tuple[Resources, str]] = Counter()
    for trial in trials:
        resources = resources_of(trial.resources)
        waits = sorted({jobs[need].removeprefix(JOB_PREFIX) for need in trial.needs.values() if need in jobs})
        array, _, index = waits[0].partition("_") if len(waits) == 1 else ("", "", "")
        if index:
            groups.setdefault((resources, f"aftercorr:{array}", siblings[resources, waits[0]]), {})[int(index)] = trial
            siblings[resources, waits[0]] += 1
            continue
        dependency = f"afterok:{':'.join(waits)}" if waits else ""
        number = siblings[resources, dependency]
        siblings[resources, dependency] += 1
        groups.setdefault((resources, dependency, number // largest), {})[number % largest] = trial
    return [Array(resources, elements, dependency) for (resources, dependency, _), elements in groups.items()]


def limits(slots: int | None, parts: Sequence[Array]) -> list[int | None]:
    """Return how many elements of each array may run at a time: parts of one array that was too long share a limit."""
    if slots is None:
        return [None] * len(parts)
    together = Counter(part.resources for part in parts if not part.dependency)
    return [max(1, slots // (1 if part.dependency else together[part.resources])) for part in parts]
