"""Trials as jobs of a real SLURM cluster: what SLURM does to jobs changes no number and loses no trial."""

import random
import time

import pytest

from tests.integration.oneshot_project import Project, finish, interrupt
from tests.integration.slurm_cluster import cluster
from tests.integration.slurm_project import CHAIN, FILE, SlurmProject

pytestmark = pytest.mark.cluster

SLURM = ("file.py", "--launcher", "slurm")
SLOW = (*SLURM, "--seconds", "0.25")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("undisturbed"))
    project.file.write_text(FILE)
    code, out = project.run("file.py")
    assert code == 0, out
    return project.numbers()


@pytest.fixture
def project(tmp_path, slurm_cluster):
    yield SlurmProject(tmp_path / "p", slurm_cluster)
    slurm_cluster.cancel_everything()


def test_jobs_give_the_numbers_of_a_local_run_and_again_nothing_is_submitted(project, undisturbed):
    code, out = project.run(*SLURM)
    assert code == 0, out
    assert project.numbers() == undisturbed
    assert project.outcomes() == ["ok"] * 2
    assert len(project.submissions()) == 1
    assert [attempt.owner.job for folder in project.runs.folders() for attempt in folder.attempts()] == [
        folder.request().job for folder in project.runs.folders()
    ]
    code, out = project.run(*SLURM)
    assert code == 0, out
    assert len(project.submissions()) == 1


@pytest.mark.parametrize("partition", ["low", "spare"])
def test_pre_empted_jobs_save_and_continue(project, undisturbed, partition):
    process = project.start(*SLOW, "--partition", partition, "--cpus", "2")
    project.wait_until_logged(random.Random(3).randint(4, 12))
    project.cluster.command("sbatch", "-p", "high", "-N3", "-n3", "-c2", "--mem=100", "-o/dev/null", "--wrap=sleep 2")
    code, out = finish(process)
    assert code == 0, out
    assert project.numbers() == undisturbed
    assert project.outcomes().count("preempted") == 2
    assert len(project.submissions()) == 1
    project.require_one_worker_at_a_time()


def test_a_job_that_is_requeued_by_hand_continues(project, undisturbed):
    process = project.start(*SLOW)
    project.wait_until_logged(random.Random(4).randint(2, 20))
    project.cluster.command("scontrol", "requeue", project.jobs()[0])
    code, out = finish(process)
    assert code == 0, out
    assert project.numbers() == undisturbed
    assert project.outcomes().count("preempted") == 1
    restarts = {attempt.owner.restarts for folder in project.runs.folders() for attempt in folder.attempts()}
    assert restarts == {0, 1}
    assert len(project.submissions()) == 1


def test_before_its_time_limit_a_job_saves_and_goes_back_to_the_queue(project, undisturbed):
    process = project.start(*SLURM, "--seconds", "2", "--hours", "0.5", "--trials", "1")
    project.wait_until_logged(1)
    # The signal comes two minutes before the limit: now at the next look of SLURM, which takes half a minute.
    project.cluster.command("scontrol", "update", f"jobid={project.jobs()[0]}", "timelimit=2")
    project.cluster.wait_until(lambda: "preempted" in project.outcomes(), what="the end of the first start")
    project.cluster.command("scontrol", "update", f"jobid={project.jobs()[0]}", "timelimit=30")
    code, out = finish(process)
    assert code == 0, out
    assert "got SIGUSR2" in project.output()
    assert "back to the queue" in project.output()
    assert set(project.outcomes()[:-1]) == {"preempted"}
    assert project.numbers().items() <= undisturbed.items()


def test_a_worker_that_is_killed_is_started_again_in_its_job(project, undisturbed):
    process = project.start(*SLOW)
    project.wait_until_logged(random.Random(5).randint(2, 20))
    project.kill_one_worker()
    code, out = finish(process)
    assert code == 0, out
    assert project.numbers() == undisturbed
    assert project.outcomes().count("lost") == 1
    assert len({attempt.owner.job for folder in project.runs.folders() for attempt in folder.attempts()}) == 2


def test_jobs_go_on_without_the_command_and_a_second_one_takes_them_over(project, undisturbed):
    process = project.start(*SLOW, "--slots", "1")
    project.wait_until_logged(2)
    if random.Random(6).random() < 0.5:
        process.kill()
        process.wait()
    else:
        code, _, out = interrupt(process)
        assert code == 130, out
        assert "the jobs" in out
    assert project.cluster.jobs()
    assert sorted(project.states()) == ["queued", "running"]
    code, out = project.run(*SLOW)
    assert code == 0, out
    assert project.numbers() == undisturbed
    assert len(project.submissions()) == 1
    assert project.outcomes() == ["ok"] * 2


def test_of_two_launches_at_once_one_submits(project, undisturbed):
    first, second = project.start(*SLURM, "--seconds", "0.02"), project.start(*SLURM, "--seconds", "0.02")
    assert [finish(process)[0] for process in (first, second)] == [0, 0]
    assert len(project.submissions()) == 1
    assert project.numbers() == undisturbed
    assert project.outcomes() == ["ok"] * 2


def test_an_array_whose_launcher_died_while_it_submitted_is_adopted(project, undisturbed):
    process = project.start(*SLOW, "--slots", "1")
    project.wait_until_logged(1)
    process.kill()
    process.wait()
    (submission,) = project.submissions()
    (submission.folder / "job.json").unlink()  # as if it had died just before it wrote that down
    for folder in project.runs.folders():
        project.runs.note_job(folder.signature, "")
    code, out = project.run(*SLOW)
    assert code == 0, out
    assert len(project.submissions()) == 1
    assert submission.job() == project.jobs()[0].partition("_")[0]
    assert project.outcomes() == ["ok"] * 2
    assert project.numbers() == undisturbed


def test_a_cancelled_job_does_not_come_back(project):
    process = project.start(*SLOW, "--trials", "1")
    project.wait_until_logged(2)
    project.cluster.command("scancel", project.jobs()[0])
    code, out = finish(process)
    assert code == 1, out
    assert f"its job {project.jobs()[0]} was cancelled" in out
    assert not project.cluster.jobs()
    assert len(project.submissions()) == 1


def test_after_a_failure_in_the_middle_of_a_chain_the_rest_is_blocked(tmp_path, slurm_cluster):
    project = SlurmProject(tmp_path / "p", slurm_cluster, FILE.partition("    yield")[0] + CHAIN)
    code, out = project.run(*SLURM, "--fail-at", "3", "--steps", "6")
    assert code == 1, out
    assert out.count("the same failure twice: RuntimeError: told to fail at step 3") == 2
    assert project.states("--fail-at", "3", "--steps", "6") == ["done"] * 2 + ["failed"] * 2 + ["blocked"] * 2
    assert not slurm_cluster.jobs()
    assert len(project.submissions()) == 3
    # Without the failure: what is done is not waited for, and everything runs.
    code, out = project.run(*SLURM, "--steps", "6")
    assert code == 0, out
    assert len(project.submissions()) == 5
    slurm_cluster.cancel_everything()


def test_two_hundred_short_trials_keep_to_their_limit(project):
    process = project.start(*SLURM, "--trials", "200", "--steps", "2", "--slots", "4", "--memory", "0.1")
    most = 0
    while process.poll() is None:
        most = max(most, sum(" RUNNING " in line for line in project.cluster.jobs()))
        time.sleep(1)
    code, out = finish(process)
    assert code == 0, out
    assert 2 <= most <= 4
    assert project.outcomes() == ["ok"] * 200
    assert len(project.submissions()) == 1


def test_cards_are_those_that_slurm_gives(project):
    code, out = project.run(*SLURM, "--gpus", "1", "--steps", "3")
    assert code == 0, out
    used = [folder.last_attempt().provenance["environment"] for folder in project.runs.folders()]
    assert {environment["CUDA_VISIBLE_DEVICES"] for environment in used} <= {"0", "1"}


def test_without_accounting_and_with_a_signal_before_pre_emption(tmp_path, undisturbed):
    with cluster(nodes=2, gpus=0, accounting=False, preempt_signal=True, max_array=2) as small:
        project = SlurmProject(tmp_path / "p", small)
        process = project.start(*SLOW, "--partition", "low", "--cpus", "2")
        project.wait_until_logged(4)
        high = ("sbatch", "-p", "high", "-N2", "-n2", "-c2", "--mem=100", "-o/dev/null", "--wrap=sleep 2")
        small.command(*high)
        code, out = finish(process)
        assert code == 0, out
        assert project.numbers() == undisturbed
        assert project.outcomes().count("preempted") == 2
        assert "got SIGUSR2" in project.output()
        # Three trials are two arrays where an array has two elements at most; a job cancelled by hand is given up.
        process = project.start(*SLOW, "--trials", "5", "--seconds", "0.1")
        project.wait_until_logged(4)
        assert len(project.submissions()) == 3
        small.command("scancel", project.jobs()[-1])
        code, out = finish(process)
        assert code == 1, out
        assert f"its job {project.jobs()[-1]} was cancelled" in out
        assert project.states("--trials", "5").count("done") == 4
