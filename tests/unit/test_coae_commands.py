"""The published command lines of CoAE, detection in one image, and what cannot work."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from baselines.coae import detect, tasks, test_net, trainval_net
from baselines.coae.config import default_config
from baselines.coae.data.pixels import query_square
from baselines.coae.data.records import Records
from baselines.coae.data.train_batches import TrainBatches
from baselines.coae.engine.evaluation import evaluate_dataset
from baselines.coae.modeling.model import build_coae
from baselines.coae.modeling.weights import checkpoint, load_init_model
from baselines.coae.published_keys import PUBLISHED_KEYS, translated
from orchestration.signature import flatten
from os2d.console import ConsoleRun
from os2d.data.dataset import DatasetOneShotDetection
from os2d.errors import CheckpointError, ConfigError, DataError
from os2d.modeling.conversion.resnet import resnet_shapes
from tests.coae_case import SMALL_COAE

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = [str(word) for pair in SMALL_COAE.items() if pair[0] not in ("is_cuda", "model.net") for word in pair]


def test_planning_imports_no_torch() -> None:
    program = "import sys; from baselines.coae import tasks; tasks.train.validate(tasks.train.default_config()); "
    program += "print([m for m in ('torch', 'pandas', 'ray', 'mlflow') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_the_published_commands_train_evaluate_and_detect(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = ["--disp_interval", "1", "--nw", "0", "--bs", "3", "--s", "1", "--lr", "0.001", "--epochs", "1"]
    published += ["--lr_decay_gamma", "0.1", "--lr_reload_best_after_decay", "True", "--lr_decay_milestones", "1 2"]
    data = ["--dataset", f"custom:{shelf}#train", "--dataset_val", f"custom:{shelf}#val-new-cl", "--net", "res18"]
    settings = ["--set", *SETTINGS, "train.epochs", "1", "DATA_DIR", "nowhere", "TRAIN.MAX_SIZE", "3000"]
    assert trainval_net.main([*published, *data, "--save_dir", str(tmp_path), *settings]) == 0
    trained = capsys.readouterr().out
    assert re.search(r"^Evaluating detections\nmAP@0\.50: \d\.\d{4}$", trained, re.MULTILINE)

    weights = ["--weights", str(tmp_path / "best_model_1.pth"), "--net", "res18"]
    assert test_net.main([*weights, "--dataset", f"custom:{shelf}#val-new-cl", *settings]) == 0
    lines = r"^Evaluating detections\nmAP@0\.50: (\d\.\d{4})\nmAPw@0\.50: .*\nrecall@0\.50: "
    again = re.search(lines, capsys.readouterr().out, re.MULTILINE)
    assert again and again[1] in trained

    photo = next((shelf / "src" / "112").iterdir())
    queries = sorted((shelf / "classes" / "images").iterdir())[:2]
    drawn = tmp_path / "found.png"
    request = ["--image", str(photo), "--query", *map(str, queries), "--threshold", "0", "--output", str(drawn)]
    assert detect.main([*weights, *request, *settings]) == 0
    assert str(queries[0]) in capsys.readouterr().out and drawn.is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mGPUs"], "--mGPUs: training runs in one process"),
        (["--set", "TRAIN.SCALE", "[600]"], r"--set TRAIN\.SCALE: no such key; did you mean TRAIN\.SCALES\?"),
        (["--set", "TRAIN.SCALES", "[]"], r"train\.scales: expected at least one positive whole number, got \[\]"),
        (["--net", "vgg16"], r"model\.net: expected one of res18, res34, res50, res101, got 'vgg16'"),
        (["--dataset", "grozzi"], "unknown data set 'grozzi'"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert trainval_net.main(arguments) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1


def test_every_published_key_is_a_key_here() -> None:
    known = flatten(default_config())
    assert set(PUBLISHED_KEYS.values()) <= set(known)
    assert list(translated(["TRAIN.MARGIN", "-0.3", "TRAIN.query_size", "192"])) == [
        *("train.head.margin", "0.3"),
        *("model.query_size", "192"),
    ]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.head.background_iou_high", 0.6, r"background_iou_high: expected at most train\.head\.foreground_iou"),
        ("eval.searched_classes", "some", r"searched_classes: expected one of present, all, got 'some'"),
        ("eval.dataset_names", [], "dataset_names: expected at least one name"),
        ("model.fixed_blocks", 5, "fixed_blocks: expected a whole number from -1 to 3, got 5"),
        ("train.dataset_name", "imagenet-repmet-train", "no class images"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_planned(key: str, value: object, message: str) -> None:
    config = default_config()
    config.merge_from_list([key, value])
    with pytest.raises(ConfigError, match=message):
        tasks.train.validate(config)


def test_resnets_and_checkpoints_are_loaded_whole_or_not_at_all(tmp_path: Path) -> None:
    config = default_config()
    config.model.net = "res18"
    model = build_coae(config, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    shapes = resnet_shapes("ResNet18")
    resnet = {key: torch.rand(shape, generator=generator) for key, shape in shapes.items()}
    wrapped = {"state_dict": {f"module.{key}": value for key, value in resnet.items()}}
    torch.save(wrapped, tmp_path / "resnet.pth.tar")

    assert load_init_model(model, tmp_path / "resnet.pth.tar") is None
    state = model.state_dict()
    for ours, theirs in (
        ("RCNN_base.0", "conv1"),
        ("RCNN_base.6.1.conv2", "layer3.1.conv2"),
        ("RCNN_top.0.0.conv1", "layer4.0.conv1"),
    ):
        assert torch.equal(state[f"{ours}.weight"], resnet[f"{theirs}.weight"])

    torch.save(checkpoint(model, None, session=1, epoch=7), tmp_path / "whole.pth")
    other = build_coae(config, torch.Generator().manual_seed(2))
    load_init_model(other, tmp_path / "whole.pth")
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())

    del resnet["layer4.0.conv1.weight"]
    torch.save(resnet, tmp_path / "torn.pth")
    with pytest.raises(CheckpointError, match=r"torn\.pth: does not fit.*1 missing: RCNN_top\.0\.0\.conv1\.weight"):
        load_init_model(model, tmp_path / "torn.pth")


def odd_dataset(folder: Path, *, with_boxes: bool) -> DatasetOneShotDetection:
    """Return a data set with an image without boxes, and a class image of one pixel."""
    for name, size in (("full", (90, 70)), ("empty", (80, 64)), ("class", (1, 1))):
        Image.new("RGB", size, (90, 120, 30)).save(folder / f"{name}.png")
    columns = ["imageid", "imagefilename", "classid", "classfilename", "gtbboxid", "difficult", "lx", "ty", "rx", "by"]
    rows = [[1, "full.png", 5, "class.png", 0, 0, 0.1, 0.1, 0.6, 0.7]] if with_boxes else []
    return DatasetOneShotDetection(
        pd.DataFrame(rows, columns=columns),
        folder,
        folder,
        "odd",
        image_size=90,
        image_ids=[1, 2],
        image_file_names=["full.png", "empty.png"],
    )


def test_images_without_boxes_and_class_images_of_one_pixel_pass(tmp_path: Path) -> None:
    config = default_config()
    config.merge_from_list([word for pair in SMALL_COAE.items() for word in pair])
    config.eval.searched_classes = "all"
    records = Records(odd_dataset(tmp_path, with_boxes=True))
    model = build_coae(config, torch.Generator().manual_seed(0))
    batch = TrainBatches(records.dataset, config, seed=0)[0]
    losses, _ = model.losses(batch, model.draw_keys(np.random.default_rng(0), batch))
    assert torch.isfinite(losses.total)
    with ConsoleRun(None, seed=0) as run:
        evaluation = evaluate_dataset(model, records, config, run)
    assert [len(truth) for truth in evaluation.ground_truth] == [1, 0]
    assert query_square(np.full((1, 1, 3), 200, dtype=np.uint8), 8).max() == 0


def test_a_data_set_without_boxes_says_so(tmp_path: Path) -> None:
    records = Records(odd_dataset(tmp_path, with_boxes=False))
    with pytest.raises(DataError, match="'odd' has no boxes to train on"):
        records.training_images(with_mirrored=False)
