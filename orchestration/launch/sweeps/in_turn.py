"""The sweeps of a plan, one after another, once everything else of the plan has ended: their controllers need results.

What is decided is in ``points`` and ``population``; a launcher that can follow the decisions has
``run_sweep``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.console import Console

from orchestration.describe import Sweep
from orchestration.errors import DescriptionError
from orchestration.launch import Halt, Launcher
from orchestration.launch.progress import Progress
from orchestration.launch.sweeps.contract import SweepLauncher, SweepRun
from orchestration.launch.sweeps.points import PointRun
from orchestration.launch.sweeps.population import PopulationRun
from orchestration.plan import Plan
from orchestration.plan import plan as plan_descriptions
from orchestration.runs import Runs
from orchestration.sweep.record import SweepRecord, chosen_points


def require_follower(plan: Plan, launcher: Launcher) -> None:
    """Refuse a sweep that needs a controller which the launcher has not, or resources that will never be there."""
    if not plan.sweeps:
        return
    if isinstance(launcher, SweepLauncher):
        launcher.check([trial for sweep in plan.sweeps for trial in plan.trials_of(sweep.name)])
        return
    sweep = plan.sweeps[0]
    rule = type(sweep.searcher if sweep.is_adaptive else sweep.scheduler).__name__
    needs = f"sweep {sweep.name!r}: {rule} follows its trials while they run, which only Ray can: use --launcher ray"
    if sweep.is_adaptive or sweep.is_population:
        raise DescriptionError(needs)
    raise DescriptionError(
        f"{needs}; `oneshot run --no-pruning` runs all {len(plan.trials_of(sweep.name))} trials to their end"
    )


def without_pruning(plan: Plan) -> Plan:
    """Return the plan with the trials of its sweeps run to their end."""
    experiments = (one.without_pruning() if isinstance(one, Sweep) else one for one in plan.experiments)
    return replace(plan, experiments=tuple(experiments))


def run_sweeps(
    plan: Plan,
    runs: Runs,
    launcher: Launcher,
    halt: Halt,
    console: Console,
    import_paths: Sequence[str] | None,
    on_tick: Callable[[], object] | None,
) -> tuple[Plan, dict[str, str]]:
    """Run every sweep of a plan; return the plan with the points that were chosen, and the reasons of failures."""
    reasons: dict[str, str] = {}
    if not isinstance(launcher, SweepLauncher):
        return plan, reasons  # refused before anything was started
    plan = _with_chosen_points(plan, runs)
    for sweep in plan.sweeps:
        record = SweepRecord(sweep, runs)
        with record.held():
            for trial in plan.trials_of(sweep.name):
                runs.create(trial)
            for entry in plan.entries:
                if entry.experiment == sweep.name:
                    runs.link(entry)
            kind = PopulationRun if sweep.is_population else PointRun
            run: SweepRun = kind(sweep, plan, runs, record, import_paths)
            if run.is_finished or halt.asked:
                continue
            try:
                with Progress(runs, list(run.trials), console, on_tick) as progress:
                    run.on_new_trial = progress.add
                    reasons |= launcher.run_sweep(run, runs, halt)
            finally:
                for trial in run.trials:
                    runs.withdraw(trial)
            reasons |= run.reasons()
    return _with_chosen_points(plan, runs), reasons


def _with_chosen_points(plan: Plan, runs: Runs) -> Plan:
    """Return the plan with the points that its sweeps have chosen by now."""
    adaptive = [sweep.name for sweep in plan.sweeps if sweep.is_adaptive]
    if not adaptive:
        return plan
    found = plan_descriptions(plan.experiments, adaptive, chosen_points(plan.experiments, runs.root))
    trials = {trial.signature: trial for trial in (*plan.trials, *found.trials)}
    entries = [entry for entry in plan.entries if entry.experiment not in adaptive]
    entries += [entry for entry in found.entries if entry.experiment in adaptive]
    return Plan(tuple(trials.values()), tuple(entries), found.experiments, plan.tables)
