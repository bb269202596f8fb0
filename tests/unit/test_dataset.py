import pickle
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from os2d.data.dataset import DatasetOneShotDetection, build_dataset, build_dataset_by_name
from os2d.data.images import loaded_size
from os2d.data.object_sizes import recommended_scale
from os2d.data.published_sizes import SetSize, size_problem
from os2d.errors import DataError
from os2d.structures.sizes import Size

TINY = Path(__file__).parents[1] / "data" / "golden" / "os2d" / "tiny_dataset"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "data"))


def own_dataset(folder: Path, **options: bool) -> DatasetOneShotDetection:
    """Two images of 40 x 30 and 20 x 60 pixels, three boxes of classes 5 and 2."""
    for name, size in (("0.png", (40, 30)), ("1.png", (20, 60)), ("5.png", (8, 8)), ("2.png", (6, 9))):
        Image.new("RGB", size, (200, 10, 10)).save(folder / name)
    columns = ["imageid", "imagefilename", "classid", "classfilename", "gtbboxid", "difficult", "lx", "ty", "rx", "by"]
    rows = [
        [0, "0.png", 5, "5.png", 0, 0, 0.0, 0.0, 0.5, 0.5],
        [0, "0.png", 2, "2.png", 1, 1, 0.25, 0.1, 1.0, 1.0],
        [1, "1.png", 5, "5.png", 2, 0, 0.0, 0.5, 1.0, 1.0],
    ]
    return DatasetOneShotDetection(pd.DataFrame(rows, columns=columns), folder, folder, "own", 40, 32.0, **options)


def test_boxes_are_in_pixels_of_the_loaded_image(tmp_path: Path) -> None:
    boxes = own_dataset(tmp_path).boxes(0)
    torch.testing.assert_close(boxes.boxes_xyxy, torch.tensor([[0.0, 0, 20, 15], [10, 3, 40, 30]]))
    assert boxes.size == Size(40, 30)
    assert boxes.field("labels").tolist() == [5, 2]
    assert boxes.field("difficult").tolist() == [False, True]


def test_an_image_of_another_size_is_brought_to_the_nominal_area(tmp_path: Path) -> None:
    dataset = own_dataset(tmp_path)
    assert dataset.size_of_image(1) == Size(23, 69) == Size.of_image(dataset.load_image(1))
    assert dataset.size_of_image(0) == Size(40, 30) == Size.of_image(dataset.load_image(0))


def test_an_image_never_shrinks_to_nothing() -> None:
    assert loaded_size(Size(5000, 1), 3) == Size(212, 1)


def test_classes_are_sorted_and_found_by_image(tmp_path: Path) -> None:
    dataset = own_dataset(tmp_path)
    assert dataset.class_ids == [2, 5]
    assert dataset.class_ids_of([1]) == [5]
    assert dataset.class_ids_of([0, 1]) == [2, 5]


def test_a_subset_keeps_the_first_images(tmp_path: Path) -> None:
    subset = own_dataset(tmp_path).subset(1)
    assert (subset.name, subset.image_ids, len(subset.gtboxframe)) == ("own-subset1", [0], 2)


def test_preloaded_images_survive_the_loss_of_their_file(tmp_path: Path) -> None:
    dataset = own_dataset(tmp_path, cache_images=True)
    dataset.preload()
    (tmp_path / "0.png").unlink()
    assert dataset.load_image(0).size == (40, 30)


def test_images_are_not_kept_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("os2d.data.dataset.CACHE_SHARE", 0.0)
    dataset = own_dataset(tmp_path, cache_images=True)
    dataset.preload()
    assert "read from disk each time instead" in caplog.text
    (tmp_path / "0.png").unlink()
    with pytest.raises(DataError):
        dataset.load_image(0)


def test_a_copy_for_another_process_leaves_the_pixels_behind(tmp_path: Path) -> None:
    dataset = own_dataset(tmp_path, cache_images=True)
    dataset.preload()
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy._decoded == {}
    assert copy.load_image(0).tobytes() == dataset.load_image(0).tobytes()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_kind_of_image_becomes_rgb(tmp_path: Path, mode: str) -> None:
    dataset = own_dataset(tmp_path)
    Image.new(mode, (40, 30)).save(tmp_path / "0.png", format="TIFF" if mode in ("CMYK", "LA") else "PNG")
    assert dataset.load_image(0).mode == "RGB"


@pytest.mark.parametrize(("file", "column"), [("0.png", "imageid 0"), ("5.png", "classid 5")])
def test_a_missing_file_is_refused_at_once(tmp_path: Path, file: str, column: str) -> None:
    own_dataset(tmp_path)
    dataset = own_dataset(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(DataError, match=rf"{file}: no such (class )?image file \(named by .*{column}\)"):
        DatasetOneShotDetection(dataset.gtboxframe, tmp_path, tmp_path, "own", 40)


def test_a_missing_file_is_named_with_the_line_of_the_table(root: Path) -> None:
    (root / "grozi/src/3264/602.png").unlink()
    with pytest.raises(DataError, match=r"602\.png: no such image file .*grozi\.csv, line 12, imageid 602"):
        build_dataset("grozi-train", root)


def test_a_missing_folder_is_named(root: Path) -> None:
    shutil.rmtree(root / "grozi/src")
    with pytest.raises(DataError, match=r"'grozi-train': no such folder: .*src/3264"):
        build_dataset("grozi-train", root)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is not an image that Pillow can read"), (b"<html>", "is not an image that Pillow can read")],
)
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    dataset = own_dataset(tmp_path)
    (tmp_path / "0.png").write_bytes(content)
    with pytest.raises(DataError, match=said):
        dataset.load_image(0)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tiff"])
def test_a_truncated_image_is_refused(tmp_path: Path, suffix: str) -> None:
    dataset = own_dataset(tmp_path)
    picture = tmp_path / f"whole.{suffix}"
    Image.effect_noise((40, 30), 60).convert("RGB").save(picture)
    (tmp_path / "0.png").write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
    with pytest.raises(DataError, match=r"0\.png: .*imageid 0\).* replace the file|damaged or incomplete"):
        dataset.load_image(0)


def test_an_image_with_too_many_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = own_dataset(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="more pixels than is safe to decode"):
        dataset.load_image(0)


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    frame = own_dataset(tmp_path).gtboxframe.drop(columns="ty")
    with pytest.raises(DataError, match="column 'ty' is missing; found imageid"):
        DatasetOneShotDetection(frame, tmp_path, tmp_path, "own", 40)


def test_the_recommended_scale_brings_the_median_object_to_the_anchor(root: Path) -> None:
    dataset = build_dataset("grozi-val-all", root)
    scale = recommended_scale("grozi-val-all", root, anchor_side=100)
    boxes = torch.cat([b.boxes_xyxy[~b.field("difficult")] for b in map(dataset.boxes, dataset.image_ids)])
    sides = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt() * dataset.scale_of(scale)
    assert sides.sort().values[len(sides) // 2].item() == pytest.approx(100, rel=0.01)


def test_the_real_photos_are_a_custom_set(photos: Path) -> None:
    dataset = build_dataset(f"custom:{photos / 'cards'}#val", photos)
    assert dataset.name == "cards-val"
    assert len(dataset.class_ids) == 6
    assert all(len(dataset.boxes(i)) for i in dataset.image_ids)
    assert all(dataset.load_image(i).size == dataset.size_of_image(i) for i in dataset.image_ids[:3])


def test_a_call_written_for_the_published_program_works(root: Path) -> None:
    frame = pd.read_csv(root / "grozi/classes/grozi.csv")
    folders = (str(root / "grozi/classes/images"), str(root / "grozi/src/3264"))
    options = {"cache_images": True, "no_image_reading": False, "logger_prefix": "OS2D"}
    dataset = DatasetOneShotDetection(frame, *folders, "own", 3264, 1280.0, **options)
    assert (dataset.get_name(), dataset.image_size, dataset.get_eval_scale()) == ("own", 3264, 1280.0)
    assert (dataset.num_images, dataset.num_boxes) == (frame["imageid"].nunique(), len(frame))
    assert dataset.get_class_ids().tolist() == frame["classid"].unique().tolist()
    first = dataset.image_ids[:2]
    rows = frame[frame["imageid"].isin(first)]
    assert dataset.get_dataframe_for_image_ids(first)["gtbboxid"].tolist() == rows["gtbboxid"].tolist()
    assert dataset.get_class_ids_for_image_ids(first).tolist() == rows["classid"].unique().tolist()
    assert dataset.copy_subset(2).name == "own-subset2"
    assert dataset.copy_subset().image_ids == dataset.image_ids


def test_annotations_keep_a_copy_of_the_original_labels(tmp_path: Path) -> None:
    dataset = own_dataset(tmp_path)
    boxes = dataset.get_image_annotation_for_imageid(0)
    boxes.field("labels")[:] = 0
    assert dataset.boxes(0).field("labels").tolist() == [5, 2]
    assert boxes.field("labels_original").tolist() == [5, 2]
    assert boxes.field("difficult_original").tolist() == [False, True]


def test_buckets_hold_one_size_each(tmp_path: Path) -> None:
    assert own_dataset(tmp_path).split_images_into_buckets_by_size() == [[0], [1]]


def test_files_on_another_machine_are_not_looked_for(tmp_path: Path) -> None:
    frame, nowhere = own_dataset(tmp_path).gtboxframe, tmp_path / "nowhere"
    assert DatasetOneShotDetection(frame, nowhere, nowhere, "own", 40, no_image_reading=True).class_ids == [2, 5]


def test_a_data_set_for_a_detector_has_no_class_images(tmp_path: Path) -> None:
    frame = own_dataset(tmp_path).gtboxframe.assign(classfilename=None)
    dataset = DatasetOneShotDetection(frame, None, tmp_path, "boxes-only", 40, cache_images=True)
    dataset.preload()
    assert (dataset.has_class_images, dataset.class_ids, len(dataset.boxes(0))) == (False, [2, 5], 2)
    with pytest.raises(DataError, match="'boxes-only' has no class images, which one-shot detection needs"):
        dataset.class_image(2)


def test_image_ids_without_their_files_are_refused(tmp_path: Path) -> None:
    frame = own_dataset(tmp_path).gtboxframe
    with pytest.raises(DataError, match="image_ids and image_file_names belong together"):
        DatasetOneShotDetection(frame, tmp_path, tmp_path, "own", 40, image_ids=[0])


def test_the_size_of_a_published_set_is_compared(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = build_dataset("grozi-val-new-cl", root)
    assert f"grozi-val-new-cl: expected 84 images (found {len(dataset)}), 622 boxes (found" in caplog.text
    assert "files missing? `oneshot data check grozi-val-new-cl`" in caplog.text
    caplog.clear()
    build_dataset("grozi-train-mini", root)
    assert not caplog.text


def test_a_set_of_the_published_size_passes_without_a_word() -> None:
    assert size_problem("dairy", SetSize(12, 786, 166, 690)) is None
    assert size_problem("imagenet-repmet-val-5000", SetSize(4942, 5000, 700, 5000)) is None
    assert size_problem("dairy", SetSize(12, 785, 166, 690)) == "dairy: expected 786 boxes (found 785)"


def test_data_sets_are_built_by_name_as_in_the_published_program(root: Path) -> None:
    dataset = build_dataset_by_name(str(root), "grozi-train", 1280, cache_images=True, logger_prefix="OS2D")
    assert (dataset.name, dataset.eval_scale, dataset.logger.name) == ("grozi-train", 1280, "OS2D.dataset")
