"""The demonstration command of OneNet on drawn pictures, with a network that finds something everywhere."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from yacs.config import CfgNode

from baselines.onenet.config_file import read_config
from baselines.onenet.data.class_names import COCO, class_names
from baselines.onenet.data.sample import resized_for_test
from baselines.onenet.demo import main
from baselines.onenet.drawing import draw_detections
from baselines.onenet.modeling.model import build_model
from baselines.onenet.predictor import Predictor
from baselines.onenet.structures import Detections
from os2d.data.normalisation import to_bytes
from os2d.data.video import change_video, pictures_of
from os2d.errors import DataError
from os2d.structures.sizes import Size
from tests.unit.onenet_dataset import annotation, config_for, write_coco

CONFIG = Path(__file__).parents[2] / "baselines" / "onenet" / "configs" / "onenet.res18.nodcn.yaml"
SMALL = ["MODEL.DEVICE", "cpu", "INPUT.MIN_SIZE_TEST", "32", "TEST.DETECTIONS_PER_IMAGE", "5"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose network finds a box of the class 2 (car) around every location."""
    state = build_model(read_config(CONFIG, SMALL)).state_dict()
    state["head.cls_score.bias"][2] = 4.0
    state["head.ltrb_pred.bias"] += 8.0
    path = tmp_path_factory.mktemp("weights") / "model_final.pth"
    torch.save({"model": state}, path)
    return path


@pytest.fixture(scope="module")
def config(weights: Path) -> CfgNode:
    return read_config(CONFIG, [*SMALL, "MODEL.WEIGHTS", str(weights)])


@pytest.fixture(scope="module")
def predictor(config: CfgNode) -> Predictor:
    return Predictor(config)


def picture(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def call(*arguments: str | Path, weights: Path | str = "") -> int:
    opts = ["--opts", *SMALL, "MODEL.WEIGHTS", str(weights)]
    return main(["--config-file", str(CONFIG), *map(str, arguments), *opts])


def test_images_of_a_pattern_go_to_a_folder(weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "found").mkdir()
    for number in range(2):
        picture(number).save(tmp_path / f"{number}.png")

    with caplog.at_level("INFO"):
        assert call("--input", tmp_path / "*.png", "--output", tmp_path / "found", weights=weights) == 0

    for number in range(2):
        drawn = Image.open(tmp_path / "found" / f"{number}.png")
        assert drawn.size == (48, 40)
        assert drawn.tobytes() != picture(number).tobytes()
        assert f"{number}.png: detected 5 instances in " in caplog.text


def test_a_folder_means_its_images_and_none_of_them_is_drawn_over(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    picture(1).save(tmp_path / "1.png")
    assert call("--input", tmp_path, "--output", tmp_path, weights=weights) == 2
    assert "1.png itself would be drawn over" in capsys.readouterr().err
    assert call("--input", tmp_path, "--output", tmp_path / "found.jpg", weights=weights) == 0
    assert Image.open(tmp_path / "found.jpg").size == (48, 40)
    assert Image.open(tmp_path / "1.png").tobytes() == picture(1).tobytes()


def test_the_network_sees_the_picture_as_it_was_trained(predictor: Predictor, config: CfgNode) -> None:
    seen = picture(3)
    found = predictor(seen)
    with torch.no_grad():
        (expected,) = predictor.model([to_bytes(resized_for_test(seen, config))], output_sizes=[Size(48, 40)])
    assert torch.equal(found.boxes_N4, expected.boxes_N4)
    assert torch.equal(found.scores_N, expected.scores_N)
    assert set(found.classes_N.tolist()) == {2}


def test_only_greater_scores_count(predictor: Predictor) -> None:
    scores = predictor(picture(3)).scores_N
    assert torch.equal(predictor(picture(3), float(scores[2])).scores_N, scores[scores > scores[2]])


def test_a_video_keeps_its_pictures_and_times(weights: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "street.mp4"), "w") as video:
        stream = video.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(3):
            video.mux(stream.encode(av.VideoFrame.from_image(picture(number, (64, 48)))))
        video.mux(stream.encode(None))

    assert call("--video-input", tmp_path / "street.mp4", "--output", tmp_path, weights=weights) == 0

    with av.open(str(tmp_path / "street.mkv")) as video:
        frames = list(video.decode(video=0))
        assert [(frame.width, frame.height) for frame in frames] == [(64, 48)] * 3
        assert [round(float(frame.time) * 5) for frame in frames] == [0, 1, 2]
    assert call("--video-input", tmp_path / "street.mp4", "--output", tmp_path) == 2  # never over another video


def test_what_is_no_video_is_said(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    picture(1, (64, 48)).save(tmp_path / "one.png")
    with pytest.raises(DataError, match=r"one.png: cannot be turned into .*one.street"):
        change_video(tmp_path / "one.png", tmp_path / "one.street", lambda picture: picture)
    with av.open(str(tmp_path / "song.wav"), "w") as song:
        stream = song.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        song.mux(stream.encode(sound))
    with pytest.raises(DataError, match=r"song.wav: expected a video, got a file without pictures"):
        next(pictures_of(tmp_path / "song.wav"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--input", "no/*.jpg"], "--input no/*.jpg: no such image"),
        (["--input", str(CONFIG), "b.jpg"], "--input b.jpg: no such image"),
        (["--input", str(CONFIG), "--confidence-threshold", "40"], "expected a score from 0 to 1, got 40"),
        (["--input", str(CONFIG), "--output", "no/found.jpg"], "there is no folder no; create it first"),
        (["--webcam", "--output", "found"], "what a camera sees is only shown"),
        (["--input", str(CONFIG), str(CONFIG), "--output", "found.jpg"], "expected a folder for 2 images"),
        (["--input", str(CONFIG), "--output", "found"], "expected a folder, or a file with the ending of an image"),
        (["--video-input", "no.mp4"], "no.mp4: no such video"),
        (["--input", str(CONFIG)], "MODEL.WEIGHTS: expected a trained detector, got nothing"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert expected in said


def test_a_backbone_alone_finds_nothing(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = torch.load(weights)["model"]
    backbone = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    torch.save(backbone, tmp_path / "backbone.pth")
    assert call("--input", CONFIG, weights=tmp_path / "backbone.pth") == 2
    assert "holds a backbone alone" in capsys.readouterr().err


def test_boxes_are_drawn_where_they_are() -> None:
    found = Detections(torch.tensor([[20.0, 30, 60, 80]]), torch.tensor([0.9]), torch.tensor([0]))
    black = Image.new("RGB", (100, 100))
    drawn = np.asarray(draw_detections(black, found, ["cell"])).max(axis=2)
    assert (drawn[30, 20:61] > 0).all()
    assert (drawn[30:81, 60] > 0).all()
    assert not drawn[35:76, 25:56].any()
    assert not np.asarray(black).any()


def test_classes_are_named_by_their_data_set(tmp_path: Path) -> None:
    assert len(COCO) == len(set(COCO)) == 80
    assert class_names(read_config(CONFIG)) == COCO
    source = write_coco(tmp_path, {1: (8, 8)}, [annotation(1, 1, 4, [0, 0, 5, 5])], {9: "dog", 4: "cat"})
    config = config_for(source, classes=2)
    assert class_names(config) == ("cat", "dog")
    config.MODEL.OneNet.NUM_CLASSES = 3
    assert class_names(config) == ("class 0", "class 1", "class 2")
