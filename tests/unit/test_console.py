import json
import os
import signal
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from os2d.config import default_config
from os2d.console import ConsoleRun, RunInterruptedError
from os2d.errors import ConfigError


def test_resumes_from_the_newest_checkpoint_and_keeps_two(tmp_path: Path) -> None:
    run = ConsoleRun(tmp_path, seed=1)
    assert run.resume() is None
    for step in (1, 2, 30):
        run.save({"iteration": step, "net": {"w": torch.tensor([float(step)])}}, step)
    state = ConsoleRun(tmp_path, seed=1).resume()
    assert state is not None
    assert state["iteration"] == 30 and state["net"]["w"] == 30
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = ConsoleRun(tmp_path, seed=1)
    run.save({"iteration": 1}, 1)
    newest = run.save({"iteration": 2}, 2)
    newest.write_bytes(newest.read_bytes()[:40])
    assert run.resume() == {"iteration": 1}
    assert str(newest) in caplog.text


def test_named_checkpoints_stay(tmp_path: Path) -> None:
    run = ConsoleRun(tmp_path, seed=1)
    run.save({"net": {}}, 1, name="checkpoint_iter_1.pth")
    assert (tmp_path / "checkpoint_iter_1.pth").exists()
    assert run.resume() is None


def test_artifacts_of_every_kind(tmp_path: Path) -> None:
    run = ConsoleRun(tmp_path / "run", seed=1)
    (tmp_path / "table.csv").write_text("a,b")
    assert run.artifact("table.csv", tmp_path / "table.csv").read_text() == "a,b"
    assert run.artifact("notes/a.txt", "words").read_text() == "words"
    assert run.artifact("plot.png", Figure()).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(TypeError, match=r"artifact x\.bin"):
        run.artifact("x.bin", 3)


def test_a_run_without_a_folder_leaves_nothing() -> None:
    with ConsoleRun(None, seed=1) as run:
        run.save({"iteration": 1}, 1)
        best = run.save({"net": {}}, 1, name="best.pth")
        assert best.exists() and run.resume() is None
    assert not run.dir.exists()


def test_metrics_are_appended_as_json(tmp_path: Path) -> None:
    run = ConsoleRun(tmp_path, seed=1)
    run.log({"mAP@0.50_a": 0.5}, 0)
    run.log({"mAP@0.50_a": 0.75}, 10)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 0, "metrics": {"mAP@0.50_a": 0.5}}, {"step": 10, "metrics": {"mAP@0.50_a": 0.75}}]


def test_a_signal_asks_to_stop_and_the_handler_is_restored(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ConsoleRun(tmp_path, seed=1) as run:
        os.kill(os.getpid(), signal.SIGTERM)
        assert run.should_stop
        with pytest.raises(RunInterruptedError, match="resumes from"):
            run.interrupt()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_folder_of_another_configuration_is_not_resumed(tmp_path: Path) -> None:
    run, config = ConsoleRun(tmp_path, seed=1), default_config()
    run.keep_config(config)
    run.save({"iteration": 1}, 1)
    config.output.print_iter = 7
    run.keep_config(config)
    config.train.optim.lr = 0.5
    with pytest.raises(ConfigError, match=r"train\.optim\.lr: 0\.0001 there, 0\.5 here"):
        run.keep_config(config)
