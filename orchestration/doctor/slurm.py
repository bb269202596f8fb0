"""What the doctor says of SLURM: its commands, what the cluster offers, accounting, and whether a job really runs."""

from __future__ import annotations

import re
import shlex
import shutil
import time
from pathlib import Path
from secrets import token_hex

from orchestration.doctor.check import Check
from orchestration.errors import OrchestrationError
from orchestration.launch.slurm.limits import NodeOffer, node_offers
from orchestration.slurm.command import NEEDED, SlurmError, slurm

PROBE_SECONDS = 120.0
"""How long a probe job may take, waiting in the queue included."""

_PROBE_SCRIPT = "#!/bin/sh\n{python} -c 'import orchestration, socket; print(socket.gethostname())' > {answer} 2>&1\n"


def check_slurm() -> list[Check]:
    """Ask the controller what it has; that there is no SLURM is no fault."""
    found = [command for command in (*NEEDED, "sacct") if shutil.which(command)]
    if not found:
        return [Check("slurm", "ok", "no SLURM commands on PATH: the slurm launcher is not available here")]
    missing = [command for command in NEEDED if command not in found]
    if missing:
        advice = "load the cluster's SLURM module, or submit from a login node"
        return [Check("slurm", "warning", f"found {', '.join(found)}; missing {', '.join(missing)}", advice)]
    try:
        offers = node_offers()
    except OrchestrationError as error:
        return [Check("slurm", "warning", str(error), "set SLURM_CONF, or ask the cluster's staff for its controller")]
    partitions = dict.fromkeys(offer.partition for offer in offers)
    if not partitions:
        return [Check("slurm", "error", "no partition has nodes", "ask the cluster's staff")]
    told = "; ".join(_partition(name, [offer for offer in offers if offer.partition == name]) for name in partitions)
    return [Check("slurm", "ok", told), _accounting()]


def probe_slurm(folder: Path, python: str, seconds: float = PROBE_SECONDS) -> Check:
    """Submit a job that imports our code and reports its host, and wait for what it says.

    Args:
        folder: one that compute nodes see, such as the runs folder; the files of the probe are removed again.
        python: the interpreter that trials will use.
        seconds: to wait; then the job is cancelled.
    """
    name = f".doctor-{token_hex(4)}"
    script, answer = folder / f"{name}.sh", folder / f"{name}.txt"
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        script.write_text(_PROBE_SCRIPT.format(python=shlex.quote(python), answer=shlex.quote(str(answer))))
        return _run_probe(script, answer, seconds)
    except SlurmError as error:
        return Check("slurm probe", "error", str(error), "run `sbatch` by hand, or ask the cluster's staff")
    finally:
        for file in (script, answer):
            file.unlink(missing_ok=True)
        for parent in made:
            parent.rmdir()


def _run_probe(script: Path, answer: Path, seconds: float) -> Check:
    began = time.monotonic()
    options = ["--job-name=oneshot-doctor", "--ntasks=1", "--mem=500M", "--time=5", "--output=/dev/null"]
    job = slurm(["sbatch", "--parsable", f"--chdir={script.parent}", *options, str(script)])
    job = job.strip().partition(";")[0]
    while (state := _state(job)) not in ("", "COMPLETED", "COMPLETING"):
        if state in ("FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT", "CANCELLED", "BOOT_FAIL", "DEADLINE"):
            break
        if time.monotonic() - began > seconds:
            reason = slurm(["squeue", "-h", "-j", job, "-o", "%T (%r)"]).strip() or state
            slurm(["scancel", job])
            advice = "look at `squeue` and `sinfo`: the cluster is full, or its nodes are not available"
            return Check("slurm probe", "warning", f"job {job} was {reason} after {seconds:.0f} s", advice)
        time.sleep(0.5)
    took = f"{time.monotonic() - began:.1f} s"
    said = _answer(answer)
    if said is None:
        advice = f"is {script.parent} on a file system that the compute nodes see?"
        return Check("slurm probe", "error", f"job {job} ended ({state or 'gone'}) and left no answer", advice)
    if len(said) != 1 or " " in said[0]:
        advice = f"the environment of {script.parent} must exist on the compute nodes, at the same path"
        return Check("slurm probe", "error", f"job {job} cannot import our code: {said[-1] if said else ''}", advice)
    return Check("slurm probe", "ok", f"job {job} ran on {said[0]} and answered after {took}")


def _answer(file: Path, seconds: float = 5.0) -> list[str] | None:
    """Return the lines of the answer; a network file system may show it a moment later."""
    deadline = time.monotonic() + seconds
    while not file.exists():
        if time.monotonic() > deadline:
            return None
        time.sleep(0.2)
    return file.read_text().splitlines()


def _state(job: str) -> str:
    """Return the state of a job, or an empty text when the controller has forgotten it."""
    try:
        found = re.search(r"JobState=(\S+)", slurm(["scontrol", "show", "job", job]))
    except SlurmError as error:
        if "Invalid job id" in str(error):
            return ""
        raise
    return found.group(1) if found else ""


def _partition(name: str, offers: list[NodeOffer]) -> str:
    largest = max(offers, key=lambda offer: (offer.gpus, offer.cpus, offer.memory_mib))
    cards = f", {largest.gpus} GPUs" if largest.gpus else ""
    default = " (default)" if largest.is_default else ""
    limit = f", at most {largest.minutes / 60:.4g} h" if largest.minutes is not None else ""
    nodes = f"{len(offers)} node{'s' if len(offers) > 1 else ''}"
    return f"{name}{default}: {nodes} of {largest.cpus} cores, {largest.memory_mib * 2**20 / 1e9:.3g} GB{cards}{limit}"


def _accounting() -> Check:
    """Tell whether SLURM remembers ended jobs; without that, the files of a trial say how it ended."""
    if shutil.which("sacct") is None:
        return Check("slurm accounting", "ok", "no sacct: the trial folders alone tell how jobs ended")
    try:
        slurm(["sacct", "-X", "-n", "-S", "now-1minute"])
    except SlurmError as error:
        return Check("slurm accounting", "ok", f"none ({error}): the trial folders alone tell how jobs ended")
    return Check("slurm accounting", "ok", "sacct answers")
