"""What a cluster has, and whether trials can ever run there; asked before anything is created."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.errors import ResourcesError
from orchestration.launch.slurm.options import MEBIBYTE, SlurmOptions, sbatch_flags
from orchestration.resources import Resources
from orchestration.slurm.command import SlurmError, slurm
from orchestration.trial_description import Trial

DEFAULT_MOST_ELEMENTS = 1001
PERMANENT = ("invalid", "permitted", "denied", "unrecognized", "ambiguous", "memory specification")
"""Words in complaints of ``sbatch`` about what waiting does not change."""


@dataclass(frozen=True)
class NodeOffer:
    """What one node offers in one partition. ``minutes`` is None without a limit."""

    partition: str
    is_default: bool
    cpus: int
    memory_mib: int
    gpus: int
    minutes: float | None


def require_possible(trials: Sequence[Trial], options: SlurmOptions) -> None:
    """Raise :class:`ResourcesError` for the first trial that SLURM would refuse or keep waiting for ever."""
    offers: list[NodeOffer] | None = None
    seen = set()
    for trial in trials:
        resources = options.resources_of(trial.resources)
        if resources in seen:
            continue
        seen.add(resources)
        try:
            flags = sbatch_flags(resources, options)
            offers = node_offers() if offers is None else offers
            _require_room(resources, offers)
            _ask_slurm(flags)
        except ResourcesError as error:
            raise ResourcesError(f"experiment {trial.experiment!r}, trial {trial.name!r}: {error}") from error


def node_offers() -> list[NodeOffer]:
    """Return what the nodes of the cluster offer, a node in two partitions twice."""
    listing = slurm(["sinfo", "-h", "-N", "-o", "%P|%c|%m|%G|%l"])
    offers = []
    for line in listing.splitlines():
        partition, cpus, memory, gres, limit = line.split("|")
        offers.append(
            NodeOffer(
                partition=partition.rstrip("*"),
                is_default=partition.endswith("*"),
                cpus=int(cpus.rstrip("+")),
                memory_mib=int(memory.rstrip("+")),
                gpus=sum(int(count) for count in re.findall(r"gpu:(?:[^:,()]+:)?(\d+)", gres)),
                minutes=_minutes(limit),
            )
        )
    return offers


def most_elements() -> int:
    """Return how many elements an array may have here (MaxArraySize)."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", slurm(["scontrol", "show", "config"]), re.MULTILINE)
    return max(1, int(found.group(1))) if found else DEFAULT_MOST_ELEMENTS


def _require_room(resources: Resources, offers: Sequence[NodeOffer]) -> None:
    partitions = sorted({offer.partition for offer in offers})
    if resources.partition is not None:
        names = resources.partition.split(",")  # sbatch takes several, and uses the first that has room
        unknown = [name for name in names if name not in partitions]
        if unknown:
            raise ResourcesError(f"there is no partition {unknown[0]!r}; this cluster has {', '.join(partitions)}")
        offers = [offer for offer in offers if offer.partition in names]
        where = f"partition {resources.partition}"
    else:
        offers = [offer for offer in offers if offer.is_default] or list(offers)
        where = f"partition {offers[0].partition}, the default," if offers else "this cluster"
    memory_mib = resources.memory_gb * 1e9 / MEBIBYTE
    wishes = (
        ("cpus", resources.cpus, [float(offer.cpus) for offer in offers], 1.0),
        ("gpus", resources.gpus, [float(offer.gpus) for offer in offers], 1.0),
        ("GB of memory", memory_mib, [float(offer.memory_mib) for offer in offers], MEBIBYTE / 1e9),
    )
    for what, wanted, had, unit in wishes:
        if wanted > max(had, default=0.0):
            raise ResourcesError(
                f"asks for {wanted * unit:.4g} {what}, but the largest node of {where} has "
                f"{max(had, default=0.0) * unit:.4g}; change the experiment's resources or the partition"
            )
    if resources.nodes > len(offers):
        raise ResourcesError(f"asks for {resources.nodes} nodes, but {where} has {len(offers)}")
    limits = [offer.minutes for offer in offers]
    if resources.hours is not None and None not in limits:
        longest = max((limit for limit in limits if limit is not None), default=0.0)
        if resources.hours * 60 > longest:
            raise ResourcesError(
                f"asks for {resources.hours:g} hours, but {where} allows {longest / 60:g}; ask for less (a trial that "
                "reaches its limit saves and continues in a new job) or choose another partition"
            )


def _ask_slurm(flags: dict[str, str | bool]) -> None:
    """Let SLURM itself judge the account, the constraint and whatever else it knows about, without a job."""
    words = [f"--{name}" if value is True else f"--{name}={value}" for name, value in flags.items()]
    try:
        slurm(["sbatch", "--test-only", *words, "--output=/dev/null", "--wrap=true"])
    except SlurmError as error:
        complaint = str(error).lower()
        if any(word in complaint for word in PERMANENT):
            raise ResourcesError(f"SLURM refuses its job: {error}") from error
        # Nodes that are down and limits that are used up pass: the submission tells what cannot wait for that.
        if "did not answer" in complaint or "contact" in complaint:
            raise


def _minutes(limit: str) -> float | None:
    """Return a time limit as ``sinfo`` writes it, [days-]hours:minutes:seconds or minutes:seconds; None without one."""
    if not re.fullmatch(r"[\d:-]+", limit):
        return None
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, minutes, seconds = [0] * (3 - len(parts)) + parts
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60
