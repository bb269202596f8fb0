"""A real OS2D training by two processes, as one trial of every back end: the numbers of one process, whatever happens.

Two processes on one node and one on each of two nodes compute the same sums in the same order, so their results are
equal bit for bit; one process alone sums in another order and differs by rounding.
"""

import signal

import psutil
import pytest

from orchestration.ending import Outcome
from tests.integration.oneshot_project import Project, finish
from tests.integration.recovery_project import ending_of
from tests.small_case import draw_small_shelf

pytestmark = pytest.mark.cluster

FILE = """
from orchestration.describe import Experiment, Resources
from tests.small_case import SMALL_NETWORK

CONFIG = {{
    **SMALL_NETWORK,
    "train.dataset_name": "custom:{shelf}#train",
    "train.dataset_scale": 112.0,
    "train.batch_size": 2,  # of 5 images: in every third batch one process has none
    "train.class_batch_size": 3,
    "train.augment.train_patch_width": 64,
    "train.augment.train_patch_height": 64,
    "train.optim.lr": 1e-3,
    "train.optim.max_iter": 8,
    "eval.iter": 4,
    "eval.dataset_names": ["custom:{shelf}#val-new-cl"],
    "eval.dataset_scales": [112.0],
    "eval.scales_of_image_pyramid": [1.0],
    "output.best_model.do_get_best_model": True,
    "output.save_iter": 0,
    "runtime.num_workers": 0,
    "runtime.num_threads": 1,
    "runtime.checkpoint_seconds": 1e-6,
}}


def describe(nodes: int = 1, processes: int = 2):
    resources = Resources(cpus=1, nodes=nodes, processes=processes, memory_gb=1.5)
    yield Experiment("joint", "os2d.tasks:train", CONFIG, resources=resources)
"""
TWO_NODES = ("--nodes", "2", "--processes", "1")
TIMES = ("time", "lr")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return draw_small_shelf(tmp_path_factory.mktemp("joint-data") / "shelf")


def project_in(folder, shelf):
    project = Project(folder)
    project.file.write_text(FILE.format(shelf=shelf))
    return project


@pytest.fixture
def project(tmp_path, shelf):
    return project_in(tmp_path, shelf)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory, shelf):
    project = project_in(tmp_path_factory.mktemp("two"), shelf)
    code, out = project.run("file.py")
    assert code == 0, out
    (folder,) = project.runs.folders()
    assert (folder.last_attempt().folder / "stderr.rank1.log").exists()
    return folder


def the_trial(project):
    (folder,) = project.runs.folders()
    return folder


def numbers(folder):
    return {(p.name, p.step): p.value for p in folder.metrics() if not any(word in p.name for word in TIMES)}


def test_two_processes_train_as_one_does(project, two_processes):
    code, out = project.run("file.py", "--processes", "1")
    assert code == 0, out
    one, two = numbers(the_trial(project)), numbers(two_processes)
    assert one.keys() == two.keys()
    for name, value in one.items():
        if not name[0].startswith("grad_norm"):  # sums of squares of values that differ by rounding
            assert two[name] == pytest.approx(value, abs=1e-5), name
    assert two_processes.result().metrics == pytest.approx(the_trial(project).result().metrics, abs=1e-5)


def test_kills_change_nothing_under_the_local_launcher(project, two_processes):
    process = project.start("file.py")
    project.wait_until_logged(2, 300)
    (supervisor,) = project.live_workers()
    ranks = [p for p in psutil.Process(supervisor).children() if "orchestration.distributed.rank" in p.cmdline()]
    ranks[-1].kill()
    project.wait_until_logged(2, 300)
    process.send_signal(signal.SIGINT)
    assert finish(process, 300)[0] == 130
    code, out = project.run("file.py")
    assert code == 0, out
    outcomes = [attempt.outcome for attempt in the_trial(project).attempts()]
    assert (outcomes[0], outcomes[-1], len(outcomes)) == (Outcome.LOST, Outcome.OK, 3)
    assert outcomes[1] in (Outcome.PREEMPTED, Outcome.LOST)  # lost: a step took longer than the launcher's patience
    assert ending_of(the_trial(project)) == ending_of(two_processes)


def test_two_nodes_of_a_ray_cluster_train_alike(project, two_processes, ray_cluster, monkeypatch):
    for name, value in ray_cluster.environment.items():
        monkeypatch.setenv(name, value)
    ray = ("file.py", "--launcher", "ray", "--address", ray_cluster.address, *TWO_NODES)
    process = project.start(*ray)
    project.wait_until_logged(2, 300)
    process.kill()  # its trials notice, and save
    process.wait()
    project.wait_until_idle(60)
    code, out = project.run(*ray)
    assert code == 0, out
    assert len(the_trial(project).attempts()) == 2
    assert ending_of(the_trial(project)) == ending_of(two_processes)


def test_two_nodes_of_a_slurm_cluster_train_alike(project, two_processes, slurm_cluster, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", slurm_cluster.environment["SLURM_CONF"])
    process = project.start("file.py", "--launcher", "slurm", *TWO_NODES)
    project.wait_until_logged(2, 300)
    job = the_trial(project).last_attempt().owner.job.removeprefix("slurm:")
    slurm_cluster.command("scontrol", "requeue", job)
    code, out = finish(process, 600)
    assert code == 0, out
    assert len(the_trial(project).attempts()) >= 2
    assert ending_of(the_trial(project)) == ending_of(two_processes)
    slurm_cluster.cancel_everything()
