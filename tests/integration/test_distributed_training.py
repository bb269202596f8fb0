"""Two processes train as one does; they are really started by torchrun's module and talk by gloo."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from yacs.config import CfgNode

from tests.tiny_training import config_of, logged

ROOT = Path(__file__).resolve().parents[2]
METRIC = "mAP@0.50_small-val-new-cl"

V1 = {
    "model.use_inverse_geom_model": False,
    "model.use_simplified_affine_model": True,
    "train.model.freeze_bn_transform": False,
    "train.model.freeze_bn": False,  # not V1, but the hardest case: the branches share a backbone
    "train.batch_size": 2,  # of 5 images: in every third batch one process has none
}
CONTRASTIVE: dict[str, object] = {
    "train.batch_size": 3,  # shares of one and two images
    "train.objective.class_objective": "ContrastiveLoss",
    "train.accumulation_steps": 2,
}


def start(folder: Path, config: CfgNode, processes: int) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    (folder / "config.yml").write_text(config.dump())
    logs = f"--log-dir={folder / 'torchrun'}"
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", logs]
    command = [
        sys.executable,
        *(torchrun if processes > 1 else []),
        str(ROOT / "tests" / "tiny_training.py"),
        str(folder),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


def assert_same_training(first: Path, second: Path, steps: int) -> None:
    a, b = logged(first), logged(second)
    for step in range(1, steps + 1):
        assert b[step]["loss_running"] == pytest.approx(a[step]["loss_running"], abs=1e-5)
    for name in (METRIC, "loss_small-val-new-cl", "cls_RLL_neg_running", "grad_norm_running"):
        if name in a[steps]:
            assert b[steps][name] == pytest.approx(a[steps][name], rel=1e-4, abs=1e-5)
    name = f"checkpoint_iter_{steps}.pth"
    one, two = (torch.load(folder / name, weights_only=True)["net"] for folder in (first, second))
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor, rtol=1e-4, atol=1e-5, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize(
    "changed", [pytest.param(V1, marks=pytest.mark.cluster), CONTRASTIVE], ids=["v1", "contrastive"]
)
def test_two_processes_train_as_one_does(changed: dict[str, object], shelf: Path, tmp_path: Path) -> None:
    config = config_of(shelf, **changed)
    for processes in (1, 2):
        finish(start(tmp_path / str(processes), config, processes))
    assert_same_training(tmp_path / "1", tmp_path / "2", steps=4)


@pytest.mark.cluster
def test_a_signal_to_the_launcher_ends_all_and_the_same_command_resumes(shelf: Path, tmp_path: Path) -> None:
    config = config_of(shelf, train__optim__max_iter=12, eval__iter=12)
    finish(start(tmp_path / "whole", config, 2))
    stopped = start(tmp_path / "stopped", config, 2)
    metrics = tmp_path / "stopped" / "metrics.jsonl"
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 4:
        assert stopped.poll() is None, stopped.communicate()[0]
        time.sleep(0.02)
    stopped.send_signal(signal.SIGTERM)
    output, _ = stopped.communicate(timeout=100)
    assert stopped.returncode != 0
    assert max(logged(tmp_path / "stopped")) < 12, output
    finish(start(tmp_path / "stopped", config, 2))
    name = "checkpoint_iter_12.pth"
    one, two = (torch.load(tmp_path / f / name, weights_only=True)["net"] for f in ("whole", "stopped"))
    assert [key for key in one if not torch.equal(one[key], two[key])] == []
