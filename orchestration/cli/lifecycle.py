"""Commands that end trials, start them again and tidy up: ``cancel``, ``retry`` and ``gc``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from orchestration.cli.completion import complete_trials
from orchestration.cli.options import (
    RUNS,
    TAKES_FILE_OPTIONS,
    DetachOption,
    HelpOption,
    JsonOption,
    OnlyOption,
    RunsOption,
    TrackingOption,
    app,
    read_plan,
    run_detached,
)
from orchestration.cli.slurm import takes_slurm_options
from orchestration.durable import to_json
from orchestration.errors import DescriptionError, ExitCode
from orchestration.launch.choice import LauncherName, make_launcher
from orchestration.launch.slurm.options import SlurmOptions
from orchestration.runs import Runs

if TYPE_CHECKING:
    from orchestration.garbage import Garbage
    from orchestration.journal_records import State
    from orchestration.selection import Chosen

MOST_LISTED = 20

PatternsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATTERN... | FILE",
        help="<experiment>/<name> or a name, both with * and ?, a signature's first digits, a trial's folder; or a "
        "file of experiments with its options",
        autocompletion=complete_trials,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]


@app.command(context_settings=TAKES_FILE_OPTIONS, add_help_option=False)
def cancel(
    context: typer.Context,
    patterns: PatternsArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="all trials in the runs folder")] = False,
    force: Annotated[bool, typer.Option("--force", help="kill at once: what is not saved is lost")] = False,
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", help="for a trial to save, then kill it")] = 30.0,
    runs: RunsOption = RUNS,
    only: OnlyOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    show_help: HelpOption = False,
) -> None:
    """Stop trials for good and wait until they are gone; `oneshot run` or `oneshot retry` continues them.

    Running ones save their state first, queued ones are not started, jobs are taken out of SLURM's queue. Exit code 1
    when something still runs.
    """
    from orchestration.cancel import cancel as cancel_trials
    from orchestration.cancel import cancellable

    journal = Runs(runs)
    chosen = _chosen(context, patterns, everything, journal, only, show_help)
    trials = cancellable(chosen, journal)
    if not trials and not as_json:
        print(f"nothing to cancel: {_counted(chosen, journal)}")
    if len(trials) > 1 and not yes:
        _confirm(trials, f"cancel these {len(trials)} trials?")
    ended = cancel_trials(trials, 0.0 if force else wait)
    if as_json:
        records = [
            {
                "name": one.chosen.name,
                "signature": one.chosen.folder.signature,
                "before": one.before.value,
                "gone": one.is_gone,
                "message": one.message,
            }
            for one in ended
        ]
        print(to_json(records, indent=1))
    else:
        for one in ended:
            print(f"{one.chosen.name}: {one.message}")
    raise typer.Exit(ExitCode.DONE if all(one.is_gone for one in ended) else ExitCode.FAILED)


@app.command(context_settings=TAKES_FILE_OPTIONS, add_help_option=False)
@takes_slurm_options
def retry(
    context: typer.Context,
    patterns: PatternsArgument = None,
    failed: Annotated[bool, typer.Option("--failed", help="all trials that failed or were lost")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="from the beginning: put what they saved and measured aside")
    ] = False,
    with_dependents: Annotated[
        bool, typer.Option("--dependents/--no-dependents", help="also what was blocked because it needs them")
    ] = True,
    launcher: Annotated[LauncherName, typer.Option(help="where the trials run")] = LauncherName.RAY,
    runs: RunsOption = RUNS,
    only: OnlyOption = None,
    slots: Annotated[int | None, typer.Option(help="trials at a time (default: as many as fit)")] = None,
    cpus: Annotated[float | None, typer.Option(help="cores to use (default: all); slurm: of each trial")] = None,
    gpus: Annotated[int | None, typer.Option(help="cards to use (default: all); slurm: of each trial")] = None,
    address: Annotated[str | None, typer.Option(help="ray: join this cluster instead of starting one")] = None,
    slurm: SlurmOptions = SlurmOptions(),  # noqa: B008 - its own options stand here
    detach: DetachOption = False,
    tracking_uri: TrackingOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    show_help: HelpOption = False,
) -> None:
    """Run trials again that did not finish, from their folders, without the file that described them.

    They go on where they stopped, with new budgets for failures. What they need and is not done runs first.
    """
    from orchestration.launch import JobLauncher
    from orchestration.launch.driver import launch, submit, unfinished
    from orchestration.listing import plan_records
    from orchestration.relaunch import FAILED, dependents, other_folder, plan_again, retryable
    from orchestration.results import following

    journal = Runs(runs)
    notes = Console(file=sys.stderr)
    chosen = _chosen(context, patterns, failed, journal, only, show_help, "--failed")
    trials = retryable(chosen, journal)
    if failed and not patterns:
        trials = {one: state for one, state in trials.items() if state in FAILED}
    if not trials:
        print("[]" if as_json else f"nothing to retry: {_counted(chosen, journal)}")
        return
    if len(trials) > 1 and not yes:
        _confirm(trials, f"run these {len(trials)} trials again?")
    more = dependents([*trials], journal) if with_dependents else []
    planned = plan_again([*trials, *more], journal)
    place = make_launcher(launcher, cpus=cpus, gpus=gpus, slots=slots, address=address, slurm=slurm)
    place.check(unfinished(planned, journal))  # before anything is put aside
    if detach and not isinstance(place, JobLauncher):
        run_detached(runs, as_json)
        return
    if more:
        notes.print(f"and {len(more)} that need them", highlight=False)
    if (folder := other_folder([*trials])) is not None:
        notes.print(f"warning: they ran in {folder}; relative paths now start here", highlight=False, soft_wrap=True)
    for one in trials if fresh else ():
        aside = one.folder.put_aside()
        if aside is not None:
            notes.print(f"{one.name}: kept aside in {aside}", highlight=False, markup=False, soft_wrap=True)
    if detach and isinstance(place, JobLauncher):
        summary = submit(planned, journal, place, notes, None)
    else:
        with following(planned, runs, tracking_uri, notes) as tick:
            summary = launch(planned, journal, place, notes, None, tick)
    if as_json:
        print(to_json(plan_records(planned, summary.states), indent=1))
    raise typer.Exit(ExitCode.DONE if detach else summary.exit_code)


@app.command()
def gc(
    runs: RunsOption = RUNS,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="also trials that no name leads to any more, with their results")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show, and do not ask")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="delete without asking")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what may be deleted from the runs folder and why, and delete it once confirmed or with --yes.

    Results, metrics, artifacts, named checkpoints and everything of a trial at work stay.
    """
    from orchestration.garbage import delete, find_garbage

    if dry_run and yes:
        raise DescriptionError("--dry-run and --yes: one shows, the other deletes; leave one of them out")
    journal = Runs(runs)
    found = find_garbage(journal, orphans)
    if not as_json:
        _print_garbage(found, journal)
    asks = sys.stdin.isatty() and not as_json and not dry_run and found
    agreed = yes or (asks and typer.confirm(f"delete {_megabytes(sum(one.size for one in found))}?", err=True))
    left = delete(found, journal) if agreed else {}
    if as_json:
        records = [
            {
                "kind": one.kind.value,
                "path": str(one.path),
                "bytes": one.size,
                "why": one.why,
                "deleted": bool(agreed) and one not in left,
            }
            for one in found
        ]
        print(to_json(records, indent=1))
    elif agreed:
        print(f"deleted {_megabytes(sum(one.size for one in found if one not in left))}")
    elif found:
        print("nothing was deleted; --yes deletes")
    for one, why in left.items():
        print(f"error: {one.path}: not deleted: {why}", file=sys.stderr)
    raise typer.Exit(ExitCode.FOLDER if left else ExitCode.DONE)


def _chosen(
    context: typer.Context,
    patterns: Sequence[str] | None,
    everything: bool,
    runs: Runs,
    only: list[str] | None,
    show_help: bool,
    all_option: str = "--all",
) -> list[Chosen]:
    """Return the trials that the command line means: by patterns, by a FILE with its options, or all of them."""
    from orchestration.selection import choose, choose_all, choose_planned

    words = [*(patterns or ())]
    if show_help or (words and words[0].endswith(".py")):
        context.args = words[1:]
        _, planned = read_plan(context, Path(words[0]) if words else None, only, show_help)
        return choose_planned(runs, (trial.signature for trial in planned.trials))
    if options := [word for word in words if word.startswith("-")]:
        raise DescriptionError(f"no such option: {options[0]}; options of a FILE come after it")
    if only:
        raise DescriptionError("--only: names experiments of a FILE; give the FILE, or a pattern such as 'name/*'")
    if bool(words) == everything:
        raise DescriptionError(f"name the trials that are meant, or {all_option}; not both")
    return choose(runs, words) if words else choose_all(runs)


def _confirm(trials: Mapping[Chosen, State], question: str) -> None:
    """Show the trials, and ask where somebody is there to answer; no ends the command."""
    for one, state in [*trials.items()][:MOST_LISTED]:
        print(f"{one.name} ({state})", file=sys.stderr)
    if len(trials) > MOST_LISTED:
        print(f"... and {len(trials) - MOST_LISTED} more", file=sys.stderr)
    if sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(question, abort=True, err=True)


def _counted(chosen: Sequence[Chosen], runs: Runs) -> str:
    from orchestration.status import counts

    return counts(runs.states_of(one.folder for one in chosen).values())


def _print_garbage(found: Sequence[Garbage], runs: Runs) -> None:
    from collections import defaultdict

    groups: dict[tuple[str, str], list[Garbage]] = defaultdict(list)
    for one in found:
        groups[one.kind.value, one.why].append(one)
    for (kind, why), group in groups.items():
        number = f"{len(group)} x " if len(group) > 1 else ""
        print(f"{_megabytes(sum(one.size for one in group)):>12}  {number}{kind}: {why}")
        for one in group[:3]:
            place = one.path.relative_to(runs.root) if one.path.is_relative_to(runs.root) else one.path
            print(f"{'':14}{place}")
        if len(group) > 3:
            print(f"{'':14}... and {len(group) - 3} more (--json lists all)")
    print(f"{_megabytes(sum(one.size for one in found)):>12}  in all" if found else "nothing to delete")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
