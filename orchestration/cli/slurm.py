"""The options of ``run`` for ``--launcher slurm``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestration.launch.slurm.options import SlurmOptions, parse_sbatch


def _option(*names: str, help: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel="For --launcher slurm")


PartitionOption = Annotated[
    str | None, _option("--partition", "-p", help="of trials whose resources name none (the cluster's unless said)")
]
AccountOption = Annotated[str | None, _option("--account", help="to charge")]
QosOption = Annotated[str | None, _option("--qos", help="quality of service")]
ConstraintOption = Annotated[
    str | None, _option("--constraint", help="features of the node, for trials whose resources name none")
]
ExclusiveOption = Annotated[bool, _option("--exclusive", help="whole nodes for each job")]
ExcludeOption = Annotated[str | None, _option("--exclude", help="nodes not to use")]
NodelistOption = Annotated[str | None, _option("--nodelist", help="nodes to use")]
HoursOption = Annotated[
    float | None, _option("--hours", help="time limit of trials that have none (the partition's unless said)")
]
CondaOption = Annotated[
    str | None, _option("--conda-env", help="conda environment that jobs run in instead of this Python")
]
SbatchOption = Annotated[
    list[str] | None, _option("--sbatch", help="a further option of sbatch, NAME=VALUE; may be repeated")
]


def slurm_options(
    partition: str | None,
    account: str | None,
    qos: str | None,
    constraint: str | None,
    exclusive: bool,
    exclude: str | None,
    nodelist: str | None,
    hours: float | None,
    conda_env: str | None,
    sbatch: list[str] | None,
) -> SlurmOptions:
    """Return what was said on the command line."""
    return SlurmOptions(
        partition=partition,
        account=account,
        qos=qos,
        constraint=constraint,
        exclusive=exclusive,
        exclude=exclude,
        nodelist=nodelist,
        hours=hours,
        conda_env=conda_env,
        sbatch=parse_sbatch(sbatch or ()),
    )
