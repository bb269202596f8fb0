"""A folder with an experiment file whose trials are launched as jobs of a SLURM cluster."""

import os
import signal
from pathlib import Path

import pytest

from orchestration.experiment_file import ExperimentFile
from orchestration.launch.slurm.submission import Ledger, Submission
from orchestration.plan import plan
from orchestration.slurm.queue import forget_snapshot
from tests.integration.oneshot_project import Project
from tests.integration.slurm_cluster import SlurmCluster

FILE = """
from orchestration.describe import Experiment, Need, Resources, Variant

TASK = "tests.integration.counting_task:task"

def describe(seconds: float = 0.0, steps: int = 40, trials: int = 2, memory: float = 0.2, gpus: int = 0,
             hours: float = 0.0, fail_at: int = -1):
    resources = Resources(gpus=gpus, memory_gb=memory, hours=hours or None)
    config = {"steps": steps, "save_every": 4, "runtime.seconds_per_step": seconds}
    yield Experiment("counts", TASK, config, seeds=trials, resources=resources)
"""

CHAIN = """
    rest = {"seeds": 2, "resources": resources}
    first = Experiment("first", TASK, config, **rest)
    second = Experiment("second", TASK, {**config, "fail_at": fail_at}, needs={"m": Need(first)}, **rest)
    yield from (first, second)
    yield Experiment("third", TASK, {"steps": 2}, needs={"m": Need(second)}, **rest)
"""


class SlurmProject(Project):
    """The folder, and the cluster to which launches in it submit."""

    def __init__(self, folder: Path, cluster: SlurmCluster, file: str = FILE) -> None:
        super().__init__(folder)
        self.cluster = cluster
        self.environment = {**self.environment, "SLURM_CONF": cluster.environment["SLURM_CONF"]}
        self.file.write_text(file)

    def submissions(self) -> list[Submission]:
        """Return every array submitted so far."""
        return Ledger(self.runs.root).submissions()

    def jobs(self) -> list[str]:
        """Return the jobs of the trials as they are noted in their folders, without the ``slurm:``."""
        requests = [folder.request() for folder in self.runs.folders()]
        return sorted(request.job.removeprefix("slurm:") for request in requests if request is not None and request.job)

    def output(self) -> str:
        """Return what all jobs printed."""
        return "".join(path.read_text() for path in sorted(self.runs.root.glob(".slurm/*/jobs/*.log")))

    def states(self, *options: str) -> list[str]:
        """Return the states of the trials of the file with these options, in the order of the plan."""
        trials = plan(ExperimentFile(self.file).descriptions(options)).trials
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", self.environment["SLURM_CONF"])
            forget_snapshot()
            states = self.runs.states(trials)
        return [str(states[trial.signature]) for trial in trials]

    def kill_one_worker(self) -> None:
        """Kill a worker, but not the job around it."""
        os.kill(self.live_workers()[0], signal.SIGKILL)
