"""The doctor on a real cluster: what it has, and a job that reports."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.cluster


def doctor(cluster, folder, *options):
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", "doctor", "--json", "--runs", str(folder), *options],
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return {check["name"]: check for check in json.loads(done.stdout)}


def test_a_cluster_is_described_and_runs_a_job(slurm_cluster, tmp_path):
    runs = tmp_path / "runs"
    found = doctor(slurm_cluster, runs, "--probe-slurm")
    assert found["slurm"]["status"] == "ok"
    assert "debug (default): 3 nodes of 2 cores" in found["slurm"]["detail"]
    assert "2 GPUs" in found["slurm"]["detail"]
    assert found["slurm accounting"]["detail"] == "sacct answers"
    assert found["slurm probe"]["status"] == "ok", found["slurm probe"]
    assert not runs.exists(), "nothing of the probe is left"


def test_a_cluster_without_free_nodes_does_not_keep_the_doctor(slurm_cluster, tmp_path):
    from orchestration.doctor.slurm import probe_slurm

    nodes = slurm_cluster.command("sinfo", "-h", "-N", "-p", "debug", "-o", "%N").split()
    slurm_cluster.command("scontrol", "update", f"NodeName={','.join(nodes)}", "State=DRAIN", "Reason=test")
    try:
        with pytest.MonkeyPatch.context() as patched:
            for name, value in slurm_cluster.environment.items():
                patched.setenv(name, value)
            check = probe_slurm(tmp_path, sys.executable, seconds=3)
    finally:
        slurm_cluster.command("scontrol", "update", f"NodeName={','.join(nodes)}", "State=RESUME")
    assert check.status == "warning"
    assert "PENDING" in check.detail
    slurm_cluster.wait_until(lambda: not slurm_cluster.jobs(), what="the probe is cancelled")
