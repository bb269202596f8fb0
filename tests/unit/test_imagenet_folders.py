"""Links to ImageNet without the test classes of RepMet."""

from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from os2d.cli.data import app
from os2d.data.imagenet_folders import link_imagenet_folders
from os2d.errors import DataError
from tests.unit.published_layouts import draw_ilsvrc


def test_the_parts_are_class_folders_without_the_test_classes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = draw_ilsvrc(tmp_path)
    app(["link-imagenet", "--data-root", str(tmp_path)], standalone_mode=False)
    made = folder / "pretrain" / "imagenet-repmet"
    assert "2 classes, 1 left out, 4 photos in val" in capsys.readouterr().out
    train, val = ImageFolder(str(made / "train")), ImageFolder(str(made / "val"))
    assert train.classes == val.classes == ["n02000000", "n03000000"]
    names = [Path(path).name for path, _ in val.samples]
    assert [val.classes[label] for _, label in val.samples] == ["n02000000", "n02000000", "n03000000", "n03000000"]
    assert names == [f"ILSVRC2012_val_0000000{number}.JPEG" for number in (1, 4, 2, 3)]
    assert (made / "val" / "n02000000" / names[0]).is_symlink()


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    folder = draw_ilsvrc(tmp_path)
    (tmp_path / "out" / "val").mkdir(parents=True)
    with pytest.raises(DataError, match="val: is there already"):
        link_imagenet_folders(folder, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["val"]


def test_missing_photos_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train: no such folder; expected the training photos of ILSVRC"):
        link_imagenet_folders(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
