"""The options for ``--launcher slurm`` that every command which launches takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from orchestration.launch.slurm.options import SlurmOptions, parse_sbatch


def _option(name: str, kind: Any, *flags: str, help: str) -> inspect.Parameter:
    option = typer.Option(*flags, help=help, rich_help_panel="For --launcher slurm")
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=False if kind is bool else None,
        annotation=Annotated[kind, option],
    )


_OPTIONS = (
    _option(
        "partition",
        str | None,
        "--partition",
        "-p",
        help="of trials whose resources name none (the cluster's unless said)",
    ),
    _option("account", str | None, "--account", help="to charge"),
    _option("qos", str | None, "--qos", help="quality of service"),
    _option(
        "constraint",
        str | None,
        "--constraint",
        help="features of the node, for trials whose resources name none",
    ),
    _option("exclusive", bool, "--exclusive", help="whole nodes for each job"),
    _option("exclude", str | None, "--exclude", help="nodes not to use"),
    _option("nodelist", str | None, "--nodelist", help="nodes to use"),
    _option("hours", float | None, "--hours", help="time limit of trials that have none (the partition's unless said)"),
    _option(
        "conda_env",
        str | None,
        "--conda-env",
        help="conda environment that jobs run in instead of this Python",
    ),
    _option("sbatch", list[str] | None, "--sbatch", help="a further option of sbatch, NAME=VALUE; may be repeated"),
)


def takes_slurm_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options above in place of its parameter ``slurm``, which gets what was said."""
    own = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in own.parameters.values():
        parameters += _OPTIONS if parameter.name == "slurm" else [parameter]

    @functools.wraps(command)
    def with_options(**said: Any) -> None:
        options = {option.name: said.pop(option.name) for option in _OPTIONS}
        options["sbatch"] = parse_sbatch(options["sbatch"] or ())
        command(**said, slurm=SlurmOptions(**options))

    # What typer reads.
    with_options.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options
