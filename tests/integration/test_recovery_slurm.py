"""Real trainings as jobs of a real SLURM cluster, to which everything happens that happens to jobs."""

import contextlib
import os
import random
import signal
import time

import pytest

from tests.integration.oneshot_project import finish, interrupt
from tests.integration.recovery_project import require_complete
from tests.integration.slurm_cluster import cluster
from tests.integration.slurm_failures import batch_processes, lose_node, node_of, pre_empt

pytestmark = pytest.mark.cluster

LAUNCH = ("file.py", "--launcher", "slurm")
PATIENCE_SECONDS = 400


@pytest.fixture
def project(undisturbed, slurm_cluster, tmp_path):
    project = undisturbed.project(tmp_path)
    project.environment |= {"SLURM_CONF": slurm_cluster.environment["SLURM_CONF"]}
    yield project
    slurm_cluster.cancel_everything()


def jobs_of(project):
    requests = [folder.request() for folder in project.runs.folders()]
    return sorted(request.job.removeprefix("slurm:") for request in requests if request is not None and request.job)


def test_ten_kills_and_requeueings(project, undisturbed, slurm_cluster):
    """Workers killed, the processes around them killed, jobs put back into the queue by hand."""
    chance = random.Random(41)
    launch = project.start(*LAUNCH, "--trials", "3")
    project.wait_until_logged(1)
    struck = []
    while len(struck) < 10 and launch.poll() is None:
        time.sleep(chance.uniform(0.05, undisturbed.seconds / 4))
        how = chance.choice(["worker", "worker", "batch", "requeue"])
        if how == "requeue":
            running = [job for job in jobs_of(project) if slurm_cluster.state(job) == "RUNNING"]
            for job in running[:1]:
                slurm_cluster.command("scontrol", "requeue", job, check=False)
                struck.append(f"requeue {job}")
        else:
            victims = project.live_workers() if how == "worker" else batch_processes(jobs_of(project))
            for pid in sorted(victims)[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    struck.append(f"{how} {pid}")
    print(struck)
    code, out = finish(launch, PATIENCE_SECONDS)
    assert len(struck) >= 5  # the trainings may be over before the tenth
    if code != 0:  # a job whose own process was killed is not requeued by SLURM: the next launch goes on
        code, out = project.run(*LAUNCH, "--trials", "3")
    assert code == 0, out
    require_complete(project, undisturbed, {"lost", "preempted"})


@pytest.mark.parametrize("partition", ["low", "spare"])
def test_pre_empted(project, undisturbed, slurm_cluster, partition):
    launch = project.start(*LAUNCH, "--partition", partition)
    project.wait_until_logged(random.Random(42).randint(1, 8))
    pre_empt(slurm_cluster, nodes=3)
    code, out = finish(launch, PATIENCE_SECONDS)
    assert code == 0, out
    assert {"preempted", "lost"} & set(project.outcomes())
    require_complete(project, undisturbed, {"preempted", "lost"})


def test_pre_empted_with_a_signal_and_without_accounting(undisturbed, tmp_path):
    with cluster(nodes=2, gpus=0, accounting=False, preempt_signal=True) as small:
        project = undisturbed.project(tmp_path)
        project.environment |= {"SLURM_CONF": small.environment["SLURM_CONF"]}
        launch = project.start(*LAUNCH, "--partition", "low")
        project.wait_until_logged(random.Random(43).randint(1, 8))
        pre_empt(small, nodes=2)
        code, out = finish(launch, PATIENCE_SECONDS)
        assert code == 0, out
        assert {"preempted", "lost"} & set(project.outcomes())
        require_complete(project, undisturbed, {"preempted", "lost"})


def test_a_node_dies(project, undisturbed, slurm_cluster):
    launch = project.start(*LAUNCH)
    project.wait_until_logged(random.Random(44).randint(1, 6))
    nodes = {node_of(job, slurm_cluster) for job in jobs_of(project)} - {""}
    node = sorted(nodes)[0]
    lose_node(slurm_cluster, node)
    try:
        code, out = finish(launch, PATIENCE_SECONDS)
    finally:
        slurm_cluster.start_node(node)
    assert code == 0, out
    require_complete(project, undisturbed, {"lost", "node_fail"})


def test_the_launch_is_interrupted_and_killed_and_the_jobs_go_on(project, undisturbed):
    launch = project.start(*LAUNCH)
    project.wait_until_logged(1)
    code, _, out = interrupt(launch)
    assert code == 130, out
    launch = project.start(*LAUNCH)
    time.sleep(random.Random(45).uniform(0.5, 3.0))
    launch.kill()
    launch.communicate()
    code, out = project.run(*LAUNCH)
    assert code == 0, out
    require_complete(project, undisturbed, set())


def test_slurm_ray_and_this_machine_share_trials(project, undisturbed):
    """Three launches ask for the same trials at once; some of their workers die."""
    pytest.importorskip("ray")
    chance = random.Random(46)
    options = ("--trials", "3", "--cpus", "1")
    launches = [
        project.start(*LAUNCH, *options),
        project.start("file.py", "--launcher", "ray", *options),
        project.start("file.py", *options),
    ]
    project.wait_until_logged(1)
    for _ in range(3):
        time.sleep(chance.uniform(0.05, undisturbed.seconds / 2))
        for pid in sorted(project.live_workers())[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for launch in launches:
        code, out = finish(launch, PATIENCE_SECONDS)
        assert code == 0, out
    require_complete(project, undisturbed, {"lost"})
