import os
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from os2d.data import ilsvrc, repmet
from os2d.data.dataset import build_dataset
from os2d.errors import DataError
from os2d.safe_pickle import read_pickle, values_of
from tests.unit.published_layouts import (
    EPISODES,
    PHOTOS,
    draw_ilsvrc,
    draw_repmet,
    photo_entry,
    save_annotation,
    save_like_python_2,
)

DATA = Path("RepMet_CVPR2019_data/data/Imagenet_LOC")
EPISODE_FILE = DATA / f"episodes/{EPISODES}.pkl"
ROIDB = DATA / "voc_inloc_roidb.pkl"
EPISODE = "imagenet-repmet-test-episode-{}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw_repmet(tmp_path)


def made(folder: Path, number: int) -> Path:
    return folder / EPISODES / f"classes_episode_{number}"


def test_an_episode_is_what_the_published_program_makes(folder: Path, tmp_path: Path) -> None:
    dataset = build_dataset(EPISODE.format(0), folder.parent)
    path = made(folder, 0) / f"classes_{EPISODES}_episode_0.csv"
    frame = pd.read_csv(path, index_col=0)
    frame.to_csv(tmp_path / "pandas.csv")
    assert path.read_bytes() == (tmp_path / "pandas.csv").read_bytes()
    header = "imageid imagefilename classid classfilename gtbboxid difficult lx ty rx by"
    assert " ".join(frame) == header
    assert frame[["imageid", "classid", "gtbboxid", "difficult"]].to_numpy().tolist() == [
        [1, 3, 0, 0],
        [1, 3, 1, 0],
        [2, 8, 2, 0],
    ]
    np.testing.assert_allclose(frame.loc[2, ["lx", "ty", "rx", "by"]].astype(float), [1 / 6, 0.25, 0.5, 0.75])
    assert frame["imagefilename"].tolist()[2] == "Data/CLS-LOC/train/n02096437/n02096437_5.JPEG"
    assert dataset.class_image_path(3) == made(folder, 0) / (
        "images/00003_Data_CLS-LOC_train_n01440764_n01440764_1.JPEG"
    )
    assert [dataset.class_image(c).size for c in dataset.class_ids] == [(29, 19), (24, 16)]
    assert dataset.load_image(1).size == dataset.size_of_image(1)


def test_the_first_example_of_a_class_counts(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = build_dataset(EPISODE.format(1), folder.parent)
    assert (dataset.class_ids, dataset.image_ids) == ([8], [2])
    assert dataset.class_image(8).size == (24, 16)
    assert "class 9 has no example" in caplog.text


def test_the_pickles_are_parsed_once_for_all_episodes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    monkeypatch.setattr(repmet, "read_pickle", lambda path: parsed.append(path.name) or read_pickle(path))
    for number in (0, 1, 0, 1):
        build_dataset(EPISODE.format(number), folder.parent)
    assert sorted(parsed) == sorted([EPISODE_FILE.name, ROIDB.name])


def test_a_finished_episode_needs_no_pickles(folder: Path) -> None:
    build_dataset(EPISODE.format(0), folder.parent)
    (folder / ROIDB).unlink()
    (folder / EPISODE_FILE).unlink()
    assert build_dataset(EPISODE.format(0), folder.parent).num_boxes == 3


def test_an_episode_beyond_the_last_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="holds episodes 0 to 1"):
        build_dataset(EPISODE.format(2), folder.parent)


@pytest.mark.parametrize(("first", "accepted"), [(3, True), (2, False), (0, False)])
def test_mirrored_entries_before_a_photo_are_refused(tmp_path: Path, first: int, accepted: bool) -> None:
    draw_repmet(tmp_path, flipped_from=first)
    if accepted:
        assert build_dataset(EPISODE.format(0), tmp_path).num_boxes == 3
    else:
        with pytest.raises(DataError, match=f"entry {first} is mirrored"):
            build_dataset(EPISODE.format(0), tmp_path)


def test_a_photo_without_an_entry_is_refused(folder: Path) -> None:
    save_like_python_2(folder / ROIDB, {"roidb": []})
    with pytest.raises(DataError, match=r"roidb\.pkl: has no entry for .*n01440764_2\.JPEG"):
        build_dataset(EPISODE.format(0), folder.parent)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 0.0}, "entry 1 of 0 x 40 pixels"),
        ({"width": float("inf")}, "OverflowError"),
        ({"gt_classes": np.array([3])}, "2 boxes and 1 classes"),
        ({"boxes": "none"}, "ValueError"),
    ],
)
def test_an_entry_that_is_not_as_published_is_refused(folder: Path, change: dict[str, object], said: str) -> None:
    entries = [photo_entry(path, (60, 40), *found) for path, found in PHOTOS.items()]
    entries[1].update(change)
    save_like_python_2(folder / ROIDB, {"roidb": entries})
    with pytest.raises(DataError, match=rf"roidb\.pkl: expected a list 'roidb' .*{said}"):
        build_dataset(EPISODE.format(0), folder.parent)


def test_episodes_that_are_none_are_refused(folder: Path) -> None:
    save_like_python_2(folder / EPISODE_FILE, [{"epi_cats": [1]}])
    with pytest.raises(DataError, match=r"\.pkl: expected a list of episodes .*KeyError: 'train_boxes'"):
        build_dataset(EPISODE.format(0), folder.parent)


def test_an_episode_without_boxes_leaves_no_table(folder: Path) -> None:
    save_like_python_2(folder / EPISODE_FILE, [{"epi_cats": [1], "train_boxes": [], "query_images": []}])
    with pytest.raises(DataError, match="the published files hold no box"):
        build_dataset(EPISODE.format(0), folder.parent)
    assert not list(made(folder, 0).glob("*.csv"))


def test_a_missing_pickle_is_named_with_what_to_do(folder: Path) -> None:
    (folder / ROIDB).unlink()
    with pytest.raises(DataError, match=r"roidb\.pkl: no such file; .*oneshot data fetch repmet-episodes"):
        build_dataset(EPISODE.format(0), folder.parent)


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_a_program_is_refused(folder: Path, tmp_path: Path, protocol: int) -> None:
    (folder / ROIDB).write_bytes(pickle.dumps({"roidb": [Hostile(tmp_path / "ran")]}, protocol))
    with pytest.raises(DataError, match=r"roidb\.pkl: refused: the pickle holds the name (posix|nt)\.system"):
        build_dataset(EPISODE.format(0), folder.parent)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name", ["builtins eval", "__builtin__ getattr", "numpy.testing._private.utils runstring", "numpy load", "os open"]
)
def test_names_that_the_files_do_not_hold_are_refused(tmp_path: Path, name: str) -> None:
    module, function = name.split()
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02c" + f"{module}\n{function}\n".encode() + b".")
    with pytest.raises(DataError, match=rf"refused: the pickle holds the name {module}\.{function}"):
        repmet.read_published(tmp_path / "a.pkl")


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x02]q\x00(K\x01"])
def test_a_damaged_pickle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.pkl: is damaged or no pickle"):
        repmet.read_published(tmp_path / "a.pkl")


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1, 2], [3, 4]], np.uint16),
        np.asfortranarray([[1.5, 2.5], [3.5, 4.5]]),
        np.array(["tench", "kite"]),
        np.array([b"tench", b"kite"]),
        np.array([1, 2], dtype=">i4"),
        np.zeros((0, 4), np.float32),
        np.array([1, "two", None], dtype=object),
    ],
)
def test_arrays_keep_their_values(tmp_path: Path, array: np.ndarray) -> None:
    expected = [v.decode() if isinstance(v, bytes) else v for v in array.tolist()]
    (tmp_path / "new.pkl").write_bytes(pickle.dumps(array, 2))
    assert values_of(read_pickle(tmp_path / "new.pkl")) == expected
    if array.dtype != object:
        save_like_python_2(tmp_path / "old.pkl", array)
        assert values_of(read_pickle(tmp_path / "old.pkl")) == expected


def test_arrays_of_records_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(np.zeros(2, [("a", object), ("b", int)]), 2))
    with pytest.raises(DataError, match="refused: the pickle holds the NumPy type 'V16'"):
        repmet.read_published(tmp_path / "a.pkl")


def test_the_miniature_is_what_python_2_wrote(folder: Path) -> None:
    codes = {code.name: code for code, _, _ in pickletools.genops((folder / ROIDB).read_bytes())}
    names = {
        str(value) for code, value, _ in pickletools.genops((folder / ROIDB).read_bytes()) if code.name == "GLOBAL"
    }
    assert max(code.proto for code in codes.values()) == 2
    assert "BINUNICODE" not in codes
    assert "numpy.core.multiarray _reconstruct" in names


def test_training_boxes_leave_out_photos_of_the_test_classes(tmp_path: Path) -> None:
    draw_ilsvrc(tmp_path)
    dataset = build_dataset("imagenet-repmet-train", tmp_path)
    frame = dataset.gtboxframe
    assert dataset.image_ids == [1, 2]
    assert dataset.image_file_names[0] == "train/n02000000/n02000000_1.JPEG"
    assert frame["classid"].tolist() == [2000000, 3000000, 3000000]
    assert frame["difficult"].tolist() == [False, True, False]
    assert frame["gtbboxid"].tolist() == [0, 1, 2]
    assert frame.iloc[0][["lx", "ty", "rx", "by"]].tolist() == [0.1, 0.1, 0.6, 0.6]
    assert (dataset.has_class_images, len(dataset.boxes(2))) == (False, 2)


@pytest.mark.parametrize(("count", "boxes"), [(1, [0]), (2, [0, 2]), (3, [0, 1, 2]), (5, [0, 1, 2, 3, 4])])
def test_validation_boxes_are_spread_over_the_table(tmp_path: Path, count: int, boxes: list[int]) -> None:
    draw_ilsvrc(tmp_path)
    dataset = build_dataset(f"imagenet-repmet-val-{count}", tmp_path)
    assert dataset.gtboxframe["gtbboxid"].tolist() == boxes


def test_more_validation_boxes_than_there_are_is_an_error(tmp_path: Path) -> None:
    draw_ilsvrc(tmp_path)
    with pytest.raises(DataError, match="holds only 5 boxes, not 6"):
        build_dataset("imagenet-repmet-val-6", tmp_path)


def test_the_test_classes_follow_from_the_episodes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="folders of 2 classes, not of the 214 test classes; write"):
        ilsvrc.excluded_wnids(folder)
    monkeypatch.setattr(repmet, "TEST_CLASSES", 2)
    assert ilsvrc.excluded_wnids(folder) == {"n01440764", "n02096437"}


DOCTYPE = '<!DOCTYPE annotation [<!ENTITY a "aaaa">]>'


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: DOCTYPE + text.replace("60", "&a;"), "declares a document type"),
        (lambda text: (DOCTYPE + text).encode("utf-16"), "declares a document type"),
        (lambda text: text.replace("<width>60</width>", ""), "size/width is missing"),
        (lambda text: text.replace("60", "wide"), "invalid literal"),
        (lambda text: text.replace("60", "0"), "0 x 40 pixels"),
        (lambda text: text[:80], "unclosed token"),
        (lambda text: text.replace("n02000000<", "bird<"), "expected a WordNet id such as n01440764, got 'bird'"),
    ],
)
def test_a_wrong_annotation_file_is_named(tmp_path: Path, change: object, said: str) -> None:
    folder = draw_ilsvrc(tmp_path)
    path = folder / "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000004.xml"
    changed = change(path.read_text())
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    with pytest.raises(DataError, match=rf"val_00000004\.xml: .*{said}"):
        build_dataset("imagenet-repmet-val-2", tmp_path)


def test_missing_annotations_say_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "ImageNet-RepMet").mkdir()
    (tmp_path / "ImageNet-RepMet/repmet_test_classes.txt").touch()
    with pytest.raises(DataError, match=r"CLS-LOC/train: cannot list .*register at image-net\.org"):
        build_dataset("imagenet-repmet-train", tmp_path)


def test_a_photo_without_boxes_is_not_listed(tmp_path: Path) -> None:
    folder = draw_ilsvrc(tmp_path)
    save_annotation(folder / "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000000.xml", [])
    assert build_dataset("imagenet-repmet-val-5", tmp_path).image_ids == [1, 2, 3, 4]
