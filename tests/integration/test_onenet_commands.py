"""``train_net.py`` as it is called: two processes that talk by gloo, and a training that is killed and resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.unit.onenet_dataset import annotation, write_coco

ROOT = Path(__file__).parents[2]
TRAIN_NET = ROOT / "baselines" / "onenet" / "train_net.py"
WITHOUT_BATCH_STATISTICS = (
    *("--config-file", str(ROOT / "baselines/onenet/configs/onenet.fcos.res50.yaml")),
    *("MODEL.WEIGHTS", "", "MODEL.DEVICE", "cpu", "MODEL.RESNETS.DEPTH", "18", "MODEL.RESNETS.RES2_OUT_CHANNELS", "64"),
    *("MODEL.OneNet.NUM_CLASSES", "1", "MODEL.OneNet.CONV_CHANNELS", "64", "MODEL.FPN.OUT_CHANNELS", "64"),
    *("INPUT.MIN_SIZE_TRAIN", "(64,)", "INPUT.MIN_SIZE_TEST", "64", "INPUT.CROP.ENABLED", "False"),
    *("DATALOADER.NUM_WORKERS", "0", "SOLVER.IMS_PER_BATCH", "2", "SOLVER.WARMUP_ITERS", "2"),
)
"""Of two processes each norms its own images, so what norms by batches trains differently."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the pairs that name a data set of four images with as many objects each."""
    images = dict.fromkeys(range(1, 5), (64, 64))
    annotations = [annotation(id, id, 1, [8 + id, 6, 30, 25]) for id in images]
    source = write_coco(tmp_path_factory.mktemp("tiny"), images, annotations, {1: "cell"})
    registered = [["tiny", str(source.images), str(source.annotations)]]
    return ["DATASETS.REGISTERED", repr(registered), "DATASETS.TRAIN", "('tiny',)", "DATASETS.TEST", "('tiny',)"]


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(TRAIN_NET), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def train(data: list[str], output: Path, iterations: int, *flags: str) -> subprocess.Popen[str]:
    pairs = [*WITHOUT_BATCH_STATISTICS, *data, "OUTPUT_DIR", str(output), "SOLVER.MAX_ITER", str(iterations)]
    return start(*flags, *pairs)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return output


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    return [line["total_loss"] for line in lines if "total_loss" in line]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(folder / "model_final.pth", weights_only=True)["model"])


@pytest.mark.cluster
def test_two_processes_train_as_one_does(data: list[str], tmp_path: Path) -> None:
    # AdamW follows the sign of a gradient that is rounding noise; the gradients of SGD show how equal they are.
    plain = [*data, "SOLVER.OPTIMIZER", "SGD", "SOLVER.BASE_LR", "1e-3"]
    finish(train(plain, tmp_path / "one", 6))
    told = finish(train(plain, tmp_path / "two", 6, "--num-gpus", "2"))
    assert told.count("final: ") == 1
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    two = weights(tmp_path / "two")
    for name, tensor in weights(tmp_path / "one").items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.cluster
def test_an_interrupted_command_is_resumed_bit_for_bit(data: list[str], tmp_path: Path) -> None:
    finish(train(data, tmp_path / "whole", 60))
    process = train(data, tmp_path / "torn", 60)
    deadline = time.monotonic() + 300
    while not (tmp_path / "torn" / "metrics.json").is_file():  # its first line is that of iteration 20
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 75, output
    assert not (tmp_path / "torn" / "model_final.pth").exists()
    finish(train(data, tmp_path / "torn", 60, "--resume"))
    assert losses(tmp_path / "torn") == losses(tmp_path / "whole")
    torn = weights(tmp_path / "torn")
    assert all(torch.equal(torn[name], tensor) for name, tensor in weights(tmp_path / "whole").items())
