import pickle
import subprocess
import sys
from math import isnan, nan
from pathlib import Path

import pytest

from os2d.errors import DataError
from os2d.train_log import TrainLog, read_train_log


def test_columns_are_equally_long_and_what_is_missing_is_nan(tmp_path: Path) -> None:
    log = TrainLog(tmp_path)
    log.append(0, 0.1, {"mAP@0.50_a": 0.5})
    log.append(10, 0.2, {"mAP@0.50_a": 0.6, "loss_running": 1.0})
    with (tmp_path / "train_log.pkl").open("rb") as file:  # as programs that read the published log do
        content = pickle.load(file)
    assert content["time"] == [0.1, 0.2] and content["iter"] == [0.0, 10.0]
    assert content["mAP@0.50_a"] == [0.5, 0.6]
    assert isnan(content["loss_running"][0]) and content["loss_running"][1] == 1.0


def test_a_repeated_evaluation_replaces_its_entry(tmp_path: Path) -> None:
    TrainLog(tmp_path).append(0, 0.1, {"loss_a": 3.0})
    TrainLog(tmp_path).append(10, 0.2, {"loss_a": 2.0})
    TrainLog(tmp_path).append(10, 0.3, {"loss_a": 1.0})
    assert read_train_log(tmp_path) == {"time": [0.1, 0.3], "iter": [0.0, 10.0], "loss_a": [3.0, 1.0]}


@pytest.mark.parametrize(
    "content",
    [Path("a"), {"a": print}, {"a": [1.0], "b": []}, {"a": ["x"]}, [1.0]],
    ids=["class", "function", "lengths", "text", "list"],
)
def test_other_pickles_are_refused_and_run_nothing(content: object, tmp_path: Path) -> None:
    (tmp_path / "train_log.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"train_log\.pkl"):
        read_train_log(tmp_path)


def test_curves_of_every_series_are_drawn(tmp_path: Path) -> None:
    for name in ("first", "second"):
        log = TrainLog(tmp_path / name)
        log.append(0, 0.0, {"mAP@0.50_a": 0.5, "loss_running": nan})
        log.append(5, 0.5, {"mAP@0.50_a": 0.7, "loss_running": 1.0})
    command = ["os2d.visualization.training_curves", "--log_path", str(tmp_path), "--log_names", "first", "second"]
    shown = subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == str(tmp_path / "training_curves.png")
    assert (tmp_path / "training_curves.png").read_bytes().startswith(b"\x89PNG")
    absent = subprocess.run([sys.executable, "-m", *command, "third"], check=False, capture_output=True, text=True)
    assert absent.returncode == 2 and "third" in absent.stderr
