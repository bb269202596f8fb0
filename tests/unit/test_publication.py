"""``oneshot models publish``: one folder with everything, or one message and nothing."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import torch
import yaml

from baselines.onenet.config_file import read_config
from baselines.onenet.published_folder import PublishedFolder
from orchestration.cli.models import app
from orchestration.errors import DescriptionError, JournalError
from orchestration.journal import TrialFolder
from os2d.modeling.weights_file import load_weights
from tests.unit.trial_folders import create, done, make_trial, start

ONENET = {"training/loss": {1: 5.0, 2: 4.0}, "evaluation/mAP@0.50": {2: 0.25}}


def publish(*arguments: object) -> None:
    app(["publish", *map(str, arguments)], standalone_mode=False)


@pytest.fixture
def trial(tmp_path: Path) -> TrialFolder:
    """A finished trial of OneNet."""
    config = yaml.safe_load(read_config(None).dump())
    folder = done(tmp_path / "runs", make_trial(config=config), ONENET, git={"commit": "0123abc"})
    folder.checkpoints.mkdir()
    for name in ("step_00000002.pth", "model_0000000.pth", "model_final.pth"):
        torch.save({"model": {"head.weight": torch.arange(3.0)}, "iteration": 1}, folder.checkpoints / name)
    attempt = folder.attempts()[0]
    attempt.stdout.write_text("iteration 2: loss 4\n")
    attempt.stderr.write_text("a warning\n")
    return folder


def test_a_trial_becomes_a_folder_that_explains_itself(trial: TrialFolder, tmp_path: Path) -> None:
    published = tmp_path / "new" / "published"

    publish("losses/base-seed0", published, "--runs", tmp_path / "runs")

    assert {path.name for path in published.iterdir()} == {
        *("README.md", "model.pth", "config.yaml", "metrics.jsonl", "log.txt")
    }
    assert torch.equal(load_weights(published / "model.pth")["model"]["head.weight"], torch.arange(3.0))
    assert read_config(published / "config.yaml") == read_config(None)
    assert (published / "metrics.jsonl").read_bytes() == trial.metrics_file.read_bytes()
    assert (published / "log.txt").read_text() == (
        "== attempt 1, stdout.log ==\niteration 2: loss 4\n== attempt 1, stderr.log ==\na warning\n"
    )
    card = (published / "README.md").read_text()
    digest = sha256((published / "model.pth").read_bytes()).hexdigest()
    for told in (
        *("# losses/base-seed0", f"signature {trial.signature}", "| evaluation/mAP@0.50 | 0.25 |"),
        *("weights: model_final.pth of the run", "commit: 0123abc", f"| {digest} |"),
    ):
        assert told in card
    assert [path.name for path in published.parent.iterdir()] == ["published"]  # nothing unfinished is left


def test_the_folder_of_the_training_command_is_published_too(tmp_path: Path) -> None:
    with PublishedFolder(tmp_path / "output", seed=1) as run:
        run.keep_config(read_config(None))
        run.log({"training/loss": 3.0}, 1)
        run.log({"training/loss": 2.0, "bbox/AP50": 12.5}, 2)
        run.save({"model": {"head.weight": torch.ones(1)}, "iteration": 1}, 2, "model_final.pth")
    (tmp_path / "output" / "log.txt").write_text("final: AP50 12.5\n")

    publish(tmp_path / "output", tmp_path / "published")

    assert {path.name for path in (tmp_path / "published").iterdir()} == {
        *("README.md", "model.pth", "config.yaml", "metrics.json", "log.txt")
    }
    assert (tmp_path / "published" / "log.txt").read_text() == "final: AP50 12.5\n"
    assert "| bbox/AP50 | 12.5 |" in (tmp_path / "published" / "README.md").read_text()
    lines = (tmp_path / "published" / "metrics.json").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [0, 1]


def test_another_checkpoint_can_be_chosen(trial: TrialFolder, tmp_path: Path) -> None:
    publish(trial.path, tmp_path / "published", "--checkpoint", "model_0000000.pth")
    assert "weights: model_0000000.pth" in (tmp_path / "published" / "README.md").read_text()
    with pytest.raises(DescriptionError, match=r"model_9\.pth: no such checkpoint; there are: model_0000000\.pth, mod"):
        publish(trial.path, tmp_path / "other", "--checkpoint", "model_9.pth")


def test_the_best_network_goes_before_those_on_the_way(trial: TrialFolder, tmp_path: Path) -> None:
    (trial.checkpoints / "model_final.pth").rename(trial.checkpoints / "best_model_dairy_mAP@0.50.pth")
    publish(trial.path, tmp_path / "published")
    assert "weights: best_model_dairy" in (tmp_path / "published" / "README.md").read_text()


def test_what_cannot_be_published_is_said(trial: TrialFolder, tmp_path: Path) -> None:
    running = create(tmp_path / "runs", make_trial(seed=1))
    start(running)
    with pytest.raises(DescriptionError, match=r"trial losses/base-seed1 is running, not done"):
        publish(running.path, tmp_path / "published")
    with pytest.raises(DescriptionError, match=r"neither a trial of .* nor a folder"):
        publish("nothing", tmp_path / "published")
    with pytest.raises(DescriptionError, match=r"expected the output folder of a training with config\.yaml"):
        publish(tmp_path, tmp_path / "published")
    for path in trial.checkpoints.glob("model_*"):
        path.unlink()
    with pytest.raises(DescriptionError, match=r"expected one final or best checkpoint, there are: none that stay"):
        publish(trial.path, tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_a_folder_in_use_is_left_alone(trial: TrialFolder, tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "mine.txt").write_text("kept")
    with pytest.raises(DescriptionError, match="published: exists already"):
        publish(trial.path, tmp_path / "published")
    assert [path.name for path in (tmp_path / "published").iterdir()] == ["mine.txt"]


def test_a_failure_leaves_nothing_behind(trial: TrialFolder, tmp_path: Path) -> None:
    trial.metrics_file.unlink()
    with pytest.raises(JournalError, match="published: No such file"):
        publish(trial.path, tmp_path / "published")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
