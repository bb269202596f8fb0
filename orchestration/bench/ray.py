"""How many trials per second go through Ray, beside bare Tune runs that also start a process per trial."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.bench.case import Case, run_command
from orchestration.bench.finding import Finding, Target, Unit
from orchestration.durable import from_json


def measure_ray(case: Case) -> Iterator[Finding]:
    """Run trials that do nothing by our launcher, and twice by bare Tune in between."""
    rates: dict[str, list[float]] = {"ours": [], "actors": [], "processes": []}
    for _ in case.rounds():
        for side, found in rates.items():
            found.append(_rate(case, side))
    ours, count = tuple(rates["ours"]), case.sizes.ray_trials
    yield Finding(
        "ray",
        f"Ray: {count} trials that do nothing",
        Unit.TRIALS,
        ours,
        tuple(rates["actors"]),
        "Tune, an actor process per trial",
        Target(0.8, of_ratio=True, at_least=True),
        note="from the first end to the last; the start of the cluster is not in it",
    )
    yield Finding(
        "ray",
        f"Ray: {count} trials that do nothing",
        Unit.TRIALS,
        ours,
        tuple(rates["processes"]),
        "Tune, actors reused, a process per trial",
        note="the bare process imports what a worker imports, and ends",
    )


def _rate(case: Case, side: str) -> float:
    folder = case.new_folder(f"ray-{side}")
    run_command(["-m", "orchestration.bench.ray_side", side, str(case.sizes.ray_trials), str(folder)])
    ends: list[float] = sorted(from_json((folder / "ends.json").read_text()))
    return (len(ends) - 1) / (ends[-1] - ends[0])
