"""Broken data sets in COCO's format, given to the training command: one line names the file and the annotation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baselines.onenet.data.catalog import DatasetSource
from baselines.onenet.train_net import main
from tests.unit.onenet_dataset import annotation, write_coco

Content = dict[str, Any]

NETWORK = Path(__file__).parents[2] / "baselines" / "onenet" / "configs" / "onenet.res18.nodcn.yaml"

SMALL = (
    *("MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "MODEL.BACKBONE.NAME", "build_mobilenet_backbone"),
    *("MODEL.MOBILENET.NAME", "mobilenet_v3_small", "MODEL.OneNet.DECONV_CHANNEL", "[96, 16, 16, 16]"),
    *("MODEL.OneNet.NUM_CLASSES", "2", "INPUT.MIN_SIZE_TEST", "32", "DATALOADER.NUM_WORKERS", "1"),
    *("SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "1"),
)


@pytest.fixture
def source(tmp_path: Path) -> DatasetSource:
    """Annotations 20 and 21 are of image 1, annotation 30 is of image 3."""
    annotations = [
        annotation(20, 1, 4, [2, 2, 20, 10]),
        annotation(21, 1, 9, [5, 5, 9, 9]),
        annotation(30, 3, 4, [0, 0, 9, 9]),
    ]
    images = {1: (40, 30), 2: (40, 30), 3: (40, 30)}
    return write_coco(tmp_path / "data", images, annotations, {4: "cat", 9: "dog"})


def said_by(
    source: DatasetSource, capsys: pytest.CaptureFixture[str], *flags: str, train: Path | None = None
) -> tuple[int, str]:
    """Return the exit code of the command and what it wrote to the standard error."""
    tested = f"{source.annotations}:{source.images}"
    data = ("DATASETS.TRAIN", f"['{train or tested}']", "DATASETS.TEST", f"['{tested}']")
    output = ("OUTPUT_DIR", str(source.annotations.parent / "output"))
    code = main(["--config-file", str(NETWORK), *flags, *SMALL, *data, *output])
    return code, capsys.readouterr().err


def change_entry(number: int, **values: object) -> Callable[[Content], None]:
    return lambda content: content["annotations"][number].update(values)


def only_crowds(content: Content) -> None:
    for entry in content["annotations"]:
        entry["iscrowd"] = 1


BROKEN: dict[str, tuple[Callable[[Content], None], str]] = {
    "unknown category": (change_entry(1, category_id=5), "annotation 21: category_id 5 is not among"),
    "unknown image": (change_entry(2, image_id=7), "annotation 30: image_id 7 is not among"),
    "negative box": (change_entry(0, bbox=[2, 2, -20, 10]), "annotation 20: bbox [2, 2, -20, 10]: width and height"),
    "box of text": (change_entry(0, bbox="2 2 20 10"), "annotation 20: bbox: expected four numbers"),
    "crowds only": (only_crowds, "every annotation (20, 21, 30) marks a crowd"),
    "no annotations": (lambda content: content["annotations"].clear(), "has 3 images and no annotation"),
    "no images": (lambda content: content["images"].clear(), "'images' is empty"),
}


@pytest.mark.parametrize("flags", [(), ("--eval-only",)], ids=["train", "evaluate"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_entry_is_named(
    source: DatasetSource, capsys: pytest.CaptureFixture[str], kind: str, flags: tuple[str, ...]
) -> None:
    change, expected = BROKEN[kind]
    content = json.loads(source.annotations.read_text(encoding="utf-8"))
    change(content)
    source.annotations.write_text(json.dumps(content), encoding="utf-8")

    code, said = said_by(source, capsys, *flags)

    assert code == 2
    assert said.startswith(f"error: {source.annotations}: ")
    assert expected in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("flags", [(), ("--eval-only",)], ids=["train", "evaluate"])
def test_a_missing_image_is_named_with_its_annotations(
    source: DatasetSource, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    (source.images / "1.png").unlink()
    code, said = said_by(source, capsys, *flags)
    assert code == 2
    named_by = f"(named by {source.annotations}, image 1, of annotations 20, 21)"
    assert said == f"error: {source.images / '1.png'}: no such image file {named_by}\n"


def test_a_damaged_image_is_named_with_its_annotations(
    source: DatasetSource, capsys: pytest.CaptureFixture[str]
) -> None:
    image = source.images / "3.png"
    image.write_bytes(image.read_bytes()[:200])
    code, said = said_by(source, capsys, "--eval-only")
    assert code == 2
    assert f"error: {image}: cannot be decoded (named by {source.annotations}, image 3, of annotations 30)" in said
    assert "Traceback" not in said


def test_a_truncated_file_is_named(source: DatasetSource, capsys: pytest.CaptureFixture[str]) -> None:
    source.annotations.write_bytes(source.annotations.read_bytes()[:-20])
    code, said = said_by(source, capsys, "--eval-only")
    assert code == 2
    assert said.startswith(f"error: {source.annotations}: is not JSON: ")
    assert len(said.splitlines()) == 1


def test_the_test_set_is_checked_before_the_training(
    source: DatasetSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_coco(tmp_path / "good", {1: (40, 30)}, [annotation(1, 1, 4, [2, 2, 20, 10])], {4: "cat", 9: "dog"})
    (source.images / "3.png").unlink()
    code, said = said_by(source, capsys, train=Path(f"{good.annotations}:{good.images}"))
    assert code == 2
    assert "3.png: no such image file" in said
    assert not list((source.annotations.parent / "output").rglob("*.pth"))
