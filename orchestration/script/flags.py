"""The flags of OS2D's published launchers, as every experiment file takes them when it is run as a script."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from orchestration.errors import EXIT_CODES_HELP, DescriptionError
from orchestration.launch.choice import LauncherName
from orchestration.launch.slurm.options import SlurmOptions
from orchestration.plan import Plan

ONLY_SLURM = ("partition", "exclusive_node", "exclude_nodes", "nodelist")
"""Flags without a meaning anywhere else."""


def parser_of(program: str) -> argparse.ArgumentParser:
    """Return the parser of the flags; what it does not know are options of the file itself."""
    parser = _Parser(program, add_help=False, allow_abbrev=False, epilog=EXIT_CODES_HELP)
    parser.add_argument("-h", "--help", action="store_true", help="show this message and exit")
    parser.add_argument("--list", action="store_true", help="show the jobs with their indices, and where they stand")
    parser.add_argument("--runs", type=Path, default=Path(os.environ.get("ONESHOT_RUNS") or "runs"), metavar="FOLDER")

    chosen = parser.add_argument_group("which jobs (default: all)").add_mutually_exclusive_group()
    chosen.add_argument("--job-names", nargs="+", default=[], metavar="NAME", help="trials or variants")
    chosen.add_argument("--job-indices", nargs="+", default=[], type=int, metavar="INDEX", help="positions in --list")

    where = parser.add_argument_group("where")
    where.add_argument("--launcher", choices=tuple(LauncherName), default=None, help="default: local")
    where.add_argument("--slurm", action="store_true", help="the same as --launcher slurm: submit the jobs and return")
    where.add_argument("--no-launch", action="store_true", help="write what would be run as scripts, and run nothing")
    where.add_argument(
        "--slots", type=_positive(int), metavar="N", help="jobs at a time (local: 1; else: all that fit)"
    )
    where.add_argument("--no-pruning", action="store_true", help="run the trials of sweeps to their end")
    where.add_argument("--conda-env", metavar="ENV", help="run in this conda environment")

    each = parser.add_argument_group("what each job gets (default: the experiment's resources)")
    each.add_argument("--num-gpus", type=_whole_number, metavar="N", help="graphics cards")
    each.add_argument("--num-cpus", type=_positive(int), metavar="N", help="cores, and threads of the libraries")
    each.add_argument(
        "--timeout", type=_positive(float), metavar="HOURS", help="limit of one attempt; it goes on later"
    )
    each.add_argument("--stdout-file", default="out.txt", metavar="NAME", help="in the job's folder (out.txt)")
    each.add_argument("--stderr-file", default="err.txt", metavar="NAME", help="in the job's folder (err.txt)")

    slurm = parser.add_argument_group("SLURM only")
    slurm.add_argument("-p", "--partition", help="where to queue")
    slurm.add_argument("--exclusive-node", action="store_true", help="whole nodes")
    slurm.add_argument("--exclude-nodes", nargs="+", metavar="NODE", help="nodes not to use")
    slurm.add_argument("--nodelist", help="nodes to use")
    return parser


def with_flags(plan: Plan, flags: argparse.Namespace) -> Plan:
    """Return the plan with the resources that flags ask for; they are no part of what a trial is."""
    asked = {
        "cpus": flags.num_cpus,
        "gpus": flags.num_gpus,
        "hours": flags.timeout,
        "partition": flags.partition,
    }
    changes = {key: value for key, value in asked.items() if value is not None}
    trials = tuple(replace(trial, resources=replace(trial.resources, **changes)) for trial in plan.trials)
    return replace(plan, trials=trials)


def slurm_options(flags: argparse.Namespace) -> SlurmOptions:
    """Return what all jobs ask SLURM for, besides their own resources."""
    return SlurmOptions(
        slots=flags.slots if flags.launcher == "slurm" else None,
        exclude=",".join(flags.exclude_nodes) if flags.exclude_nodes else None,
        nodelist=flags.nodelist,
        conda_env=flags.conda_env,
        sbatch={"exclusive": "user"} if flags.exclusive_node else {},
    )


def without_meaning(flags: argparse.Namespace) -> list[str]:
    """Return the flags that were given although nothing is submitted to SLURM."""
    given = [] if flags.launcher == "slurm" or flags.no_launch else [key for key in ONLY_SLURM if vars(flags)[key]]
    return [f"--{key.replace('_', '-')}" for key in given]


class _Parser(argparse.ArgumentParser):
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        flags, rest = super().parse_known_args(args, namespace)
        if flags.slurm and flags.launcher not in (None, "slurm"):
            self.error(f"--slurm and --launcher {flags.launcher}: say where once")
        flags.launcher = "slurm" if flags.slurm else flags.launcher or "local"
        return flags, rest

    def error(self, message: str) -> NoReturn:
        raise DescriptionError(f"{message} (--help shows every flag)")


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
        return value

    number.__name__ = kind.__name__  # argparse names it when the text is no number at all
    return number


def _whole_number(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {text}")
    return value


_whole_number.__name__ = "int"
