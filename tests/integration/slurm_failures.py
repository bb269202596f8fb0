"""What a SLURM cluster does to jobs, or suffers itself."""

import os
import signal

import psutil

from tests.integration.slurm_cluster import SlurmCluster


def lose_node(cluster: SlurmCluster, node: str) -> None:
    """Let a node die without a word: its daemon, the keepers of its jobs and their processes."""
    os.kill(cluster.slurmd(node), signal.SIGKILL)
    for process in _processes_of(node):
        try:
            process.kill()
        except psutil.NoSuchProcess:  # a child of one that was killed before
            continue


def node_of(job: str, cluster: SlurmCluster) -> str:
    """Return the node that a job runs on, or "" while it waits."""
    return cluster.command("squeue", "-h", "-r", "-j", job, "-o", "%N", check=False).strip()


def batch_processes(jobs: list[str]) -> list[int]:
    """Return the processes in jobs that start workers: those of ours that are no workers."""
    found = []
    for process in psutil.process_iter():
        try:
            line, variables = process.cmdline(), process.environ()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        job = f"{variables.get('SLURM_ARRAY_JOB_ID')}_{variables.get('SLURM_ARRAY_TASK_ID')}"
        if job in jobs and "submitit.core._submit" in line:
            found.append(process.pid)
    return found


def pre_empt(cluster: SlurmCluster, nodes: int, seconds: int = 2) -> None:
    """Let a job of the highest partition take whole nodes for some time."""
    size = (f"-N{nodes}", f"-n{nodes}", "-c2", "--mem=100")
    cluster.command("sbatch", "-p", "high", *size, "-o/dev/null", f"--wrap=sleep {seconds}")


def _processes_of(node: str) -> list[psutil.Process]:
    """Return the processes of a node's jobs, keepers first, so that no keeper tells how its job ended."""
    inside = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SLURMD_NODENAME") == node:
                inside.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    keepers = [parent for process in inside for parent in process.parents() if parent.name() == "slurmstepd"]
    return [*keepers, *inside]
