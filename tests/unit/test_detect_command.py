"""``oneshot detect`` on drawn shelves: models by name, what is written, and what cannot work."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from orchestration.cli import app
from os2d.data.shelf.store import draw_shelf
from os2d.detector import Detection
from os2d.detector.find_model import find_model
from os2d.errors import CheckpointError, Os2dError
from os2d.visualization.found_objects import colours_of, draw_found
from tests.documents import ROOT, commands
from tests.small_case import SMALL_SHELF
from tests.trained_os2d import small_config, write_trial


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, class images and two trials of a quickstart."""
    folder = tmp_path_factory.mktemp("project")
    draw_shelf(folder / "shelf", replace(SMALL_SHELF, train_images=2, val_images=1))
    config = small_config()
    by_name = folder / "runs" / "by-name" / "quickstart"
    by_name.mkdir(parents=True)
    for name, reached in (("contrastive-seed0", 0.7), ("RLL + remap-seed0", 0.5)):
        write_trial(folder / "runs" / name[:3], config, {"mAP@0.50_shelf-val-new-cl": reached})
        (by_name / name).symlink_to(f"../../{name[:3]}")
    (folder / "runs" / "unt").mkdir()
    (folder / "runs" / "unt" / "trial.json").write_text("{}")
    (folder / "runs" / "unt" / "result.json").write_text('{"metrics": {"mAP@0.50_shelf-val-new-cl": 0.9}}')
    (by_name / "untrained-seed0").symlink_to("../../unt")
    return folder


@pytest.fixture(autouse=True)
def in_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(project)
    monkeypatch.delenv("ONESHOT_RUNS", raising=False)
    yield


def photos(project: Path) -> Path:
    return project / "shelf" / "src" / "112"


def classes(project: Path) -> list[Path]:
    return sorted((project / "shelf" / "classes" / "images").iterdir())[:2]


def call(*arguments: str | Path) -> Result:
    words = ["detect", *map(str, arguments), "--model", "quickstart/contrastive-seed0", "--device", "cpu"]
    return CliRunner().invoke(app, words)


def refused(*arguments: str | Path) -> str:
    error = CliRunner().invoke(app, ["detect", *map(str, arguments)]).exception
    assert isinstance(error, Os2dError) and error.exit_code == 2, error
    return str(error)


def write_video(path: Path, project: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 112, 84, "yuv420p"
        for photo in sorted(photos(project).iterdir())[:2]:
            with Image.open(photo) as picture:
                frame = av.VideoFrame.from_image(picture.convert("RGB").resize((112, 84)))
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def test_one_image_gives_a_picture_and_tables(project: Path, tmp_path: Path) -> None:
    photo = min(photos(project).iterdir())
    named = [word for path in classes(project) for word in ("--class-image", path)]
    outputs = ["found.png", "found.json", "found.csv", "found.coco.json"]
    flags = [word for name in outputs for word in ("--output", tmp_path / name)]
    done = call("--image", photo, *named, "--threshold", "0.2", "--max-detections", "3", *flags, "--json")
    assert done.exit_code == 0, done.output

    told = json.loads(done.stdout)
    assert told == json.loads((tmp_path / "found.json").read_text())
    assert (told["model"]["name"], told["threshold"]) == ("OS2D", 0.2)
    (image,) = told["images"]
    assert image["image"] == photo.name
    assert 1 <= len(image["detections"]) <= 3
    best = image["detections"][0]
    assert best["class"] in {path.stem for path in classes(project)}
    assert len(best["corners"]) == 4

    with (tmp_path / "found.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == [one["score"] for one in image["detections"]]
    assert [float(v) for v in rows[0]["corners"].split()] == [v for corner in best["corners"] for v in corner]

    coco = json.loads((tmp_path / "found.coco.json").read_text())
    assert [category["name"] for category in coco["categories"]] == [path.stem for path in classes(project)]
    x, y, width, height = coco["annotations"][0]["bbox"]
    assert [x, y, x + width, y + height] == pytest.approx(best["box"], abs=2e-3)
    assert coco["annotations"][0]["image_id"] == coco["images"][0]["id"]

    with Image.open(tmp_path / "found.png") as drawn, Image.open(photo) as plain:
        assert drawn.size == plain.size
        assert drawn.tobytes() != plain.convert("RGB").tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(outputs)


def test_a_folder_gives_a_folder_of_pictures(project: Path, tmp_path: Path) -> None:
    folder = project / "shelf" / "classes" / "images"
    done = call("--image", photos(project), "--class-image", folder, "--output", tmp_path / "out", "--threshold", "0.5")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        path.name for path in photos(project).iterdir()
    )
    assert all(path.name in done.stdout for path in photos(project).iterdir())


def test_a_video_gives_a_video_and_a_row_per_frame(project: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    video = tmp_path / "aisle.mp4"
    write_video(video, project)
    tea, soap = classes(project)
    views = ["--class-image", f"tea={tea}", "--class-image", f"tea={soap}"]
    outputs = ["--output", tmp_path / "found.mkv", "--output", tmp_path / "again", "--output", tmp_path / "found.json"]
    done = call("--image", video, *views, *outputs, "--threshold", "0.2")
    assert done.exit_code == 0, done.output
    frames = json.loads((tmp_path / "found.json").read_text())["images"]
    assert [(frame["image"], frame["frame"], frame["width"]) for frame in frames] == [
        ("aisle.mp4", 0, 112),
        ("aisle.mp4", 1, 112),
    ]
    assert {one["class"] for frame in frames for one in frame["detections"]} == {"tea"}
    for path in (tmp_path / "found.mkv", tmp_path / "again" / "aisle.mp4"):
        with av.open(str(path)) as drawn:
            assert len(list(drawn.decode(video=0))) == 2


def test_the_documented_commands_work(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONESHOT_RUNS", str(project / "runs"))
    (tmp_path / "models").mkdir()
    weights = (project / "runs" / "con" / "checkpoints" / "checkpoint_iter_3.pth").read_bytes()
    (tmp_path / "models" / "os2d_v2-train.pth").write_bytes(weights)
    config = small_config(eval__scales_of_image_pyramid=[1.0])
    (tmp_path / "models" / "config.yml").write_text(config.dump(), encoding="utf-8")
    (tmp_path / "photos").symlink_to(photos(project))
    (tmp_path / "classes").symlink_to(project / "shelf" / "classes" / "images")
    (tmp_path / "photo.jpg").symlink_to(min(photos(project).iterdir()))
    for name, picture in zip(("tea", "tea_side", "soap"), sorted((tmp_path / "classes").iterdir()), strict=False):
        (tmp_path / f"{name}.jpg").symlink_to(picture)
    write_video(tmp_path / "aisle.mp4", project)
    written = commands(ROOT / "docs" / "detect.md")
    mine = [command.words for command in written if command.program == "detect" and "--class" not in command.words]
    assert len(mine) == 4
    for words in mine:
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, (words, done.exception)
    assert {path.name for path in tmp_path.iterdir()} >= {"found.png", "found", "found.csv", "found.mp4"}


def test_models_are_found_by_name(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = project / "runs" / "con" / "checkpoints" / "checkpoint_iter_3.pth"
    for name in ("quickstart/contrastive-seed0", "runs/con", expected, "runs/by-name/quickstart/contrastive-seed0"):
        assert find_model(name).resolve() == expected
    assert find_model("quickstart/contrastive-seed0", project / "runs").resolve() == expected
    best = expected.with_name("checkpoint_best_model_shelf_mAP@0.50.pth")
    best.write_bytes(b"")
    try:
        assert find_model("runs/con").resolve() == best
    finally:
        best.unlink()

    with pytest.raises(CheckpointError, match="--model quickstart/contrastive-seed0") as nothing_given:
        find_model(None)
    assert "oneshot models fetch os2d_v2-train" in str(nothing_given.value)
    with pytest.raises(CheckpointError, match=r"os2d_v1-train: released weights.*oneshot models fetch os2d_v1-train"):
        find_model("os2d_v1-train")
    with pytest.raises(CheckpointError, match="done but kept no network of its own"):
        find_model("quickstart/untrained-seed0")
    with pytest.raises(CheckpointError, match=r"no such model.*no trial of runs is called so"):
        find_model("quickstart/contrastive-seed9")
    with pytest.raises(CheckpointError, match=r"models/os2d_v2-train\.pth: no such weights file; get it: oneshot"):
        find_model("models/os2d_v2-train.pth")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=re.escape("oneshot run experiments/quickstart.py")):
        find_model(None)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "os2d_v2-train.pth").write_bytes(b"")
    assert find_model(None) == find_model("os2d_v2-train") == Path("models/os2d_v2-train.pth")


def test_what_cannot_work_is_said(project: Path, tmp_path: Path) -> None:
    photo, (tea, soap) = min(photos(project).iterdir()), classes(project)
    one = ["--image", photo, "--class-image", tea]
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "tea.png").write_bytes(tea.read_bytes())
    torch.save({"head.x": torch.zeros(1)}, tmp_path / "other.pth")
    cases = [
        ([*one], "get the released weights: oneshot models fetch os2d_v2-train"),
        ([*one, "--model", tmp_path / "other.pth"], "with which nothing can be detected"),
        (["--image", tmp_path / "no.jpg", "--class-image", tea], "no.jpg: no such image, folder or video"),
        (
            ["--image", tmp_path / "broken.png", "--class-image", tea, "--model", "runs/con"],
            "broken.png: is not an ima",
        ),
        ([*one[:2], "--class-image", tmp_path / "no.jpg"], "--class-image"),
        ([*one, "--class-image", f"={soap}"], "got an empty name"),
        ([*one, "--output", tmp_path / "found.xyz"], "found.xyz: unknown format; expected a picture"),
        ([*one, "--format", "yaml"], "--format: expected one of picture, video"),
        ([*one, "--output", tmp_path / "no" / "found.png"], "there is no folder"),
        ([*one, "--output", photo], "itself would be drawn over"),
        ([*one, "--image", photos(project), "--output", tmp_path / "a.png"], "expected a folder for"),
        ([*one, "--output", tmp_path / "found.mp4"], "a video is written of one video"),
        ([*one, "--scales", "big"], "--scales: expected pixels"),
        ([*one, "--set", "eval.nms_iou_threshold"], "expected KEY=VALUE"),
        (
            [*one, "--model", "runs/con", "--set", "eval.nms_iou_threshold=2.0"],
            "eval.nms_iou_threshold: expected a num",
        ),
        ([*one, "--model", "runs/con", "--class", "dog"], "--class dog: OS2D finds what a picture shows"),
        (["--image", photo, "--model", "runs/con"], "expected a picture of what OS2D is to find"),
    ]
    for arguments, message in cases:
        assert message in refused(*arguments)
    assert "found" not in {path.stem for path in tmp_path.iterdir()}


def test_what_is_found_is_drawn_where_it_is() -> None:
    black = Image.new("RGB", (100, 100))
    outline = ((30.0, 40.0), (50.0, 40.0), (50.0, 70.0), (30.0, 70.0))
    found = [Detection("cell", 0.9, (20.0, 30.0, 60.0, 80.0), outline)]
    drawn = np.asarray(draw_found(black, found, colours_of(["cell"]))).max(axis=2)
    assert (drawn[30, 20:61] > 0).all()
    assert (drawn[30:81, 60] > 0).all()
    assert (drawn[70, 30:51] > 0).all()
    assert not drawn[45:66, 35:46].any()
    assert not np.asarray(black).any()
