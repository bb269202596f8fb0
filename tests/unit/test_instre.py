import logging
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from os2d.data.dataset import build_dataset
from os2d.errors import DataError
from tests.unit.published_layouts import draw_instre, photo, save_ground_truth

TEA = "INSTRE-S1/01a_tea/001.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw_instre(tmp_path)


def table(folder: Path) -> pd.DataFrame:
    build_dataset("instre-all", folder.parent)
    return pd.read_csv(folder / "classes/instre.csv")


def rows(folder: Path) -> list[tuple[object, ...]]:
    columns = ["gtbboxid", "classid", "imageid", "imagefilename", "lx", "ty", "rx", "by"]
    return [tuple(row) for row in table(folder)[columns].round(6).itertuples(index=False)]


def add_query(folder: Path, query: str, positives: list[str]) -> None:
    """Make this the only query."""
    photos = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.jpg") if "classes" not in p.parts)
    numbers = [photos.index(p) + 1 for p in positives]
    save_ground_truth(folder / "gnd_instre.mat", [(query, numbers, [0, 0, 10, 10])], photos)


def test_the_table_has_the_columns_of_the_published_program(folder: Path) -> None:
    build_dataset("instre-all", folder.parent)
    header = (folder / "classes/instre.csv").read_text().splitlines()[0]
    assert header == ",gtbboxid,classid,classfilename,imageid,imagefilename,difficult,lx,ty,rx,by"


def test_the_table_is_what_pandas_writes(folder: Path, tmp_path: Path) -> None:
    table(folder).drop(columns="Unnamed: 0").to_csv(tmp_path / "pandas.csv")
    assert (tmp_path / "pandas.csv").read_bytes() == (folder / "classes/instre.csv").read_bytes()


def test_boxes_of_both_parts_become_rows(folder: Path) -> None:
    assert rows(folder) == [
        (0, 0, 0, TEA, 0.1, 0.1, 0.6, 0.6),
        (1, 0, 1, "INSTRE-S1/01a_tea/002.jpg", 0.0, 0.0, 1.0, 1.0),
        (2, 0, 3, "INSTRE-M/01_tea_cup/001.jpg", 0.05, 0.05, 0.15, 0.15),
        (3, 2, 2, "INSTRE-S1/01b_cup/001.jpg", 0.2, 0.2, 0.6, 0.6),
        (4, 2, 3, "INSTRE-M/01_tea_cup/001.jpg", 0.5, 0.5, 0.75, 0.75),
        (5, 3, 4, "INSTRE-S2/07_boat/001.jpg", 0.1, 0.1, 0.3, 0.3),
        (6, 3, 5, "INSTRE-S2/07_boat/002.jpg", round(1 / 60, 6), 0.025, round(8 / 60, 6), 0.15),
    ]


def test_queries_with_two_objects_are_left_out(folder: Path) -> None:
    assert table(folder)["classid"].unique().tolist() == [0, 2, 3]


def test_the_class_image_is_the_box_of_the_query(folder: Path) -> None:
    dataset = build_dataset("instre-all", folder.parent)
    assert [dataset.class_image(c).size for c in (0, 2, 3)] == [(30, 20), (24, 16), (12, 8)]
    assert dataset.class_image_path(0).name == "00000_INSTRE-S1_01a_tea_001.jpg"
    crop = Image.open(folder / TEA).crop((6, 4, 36, 24))
    crop.save(folder / "expected.jpg")
    assert dataset.class_image_path(0).read_bytes() == (folder / "expected.jpg").read_bytes()


def test_images_are_those_of_the_part(folder: Path) -> None:
    dataset = build_dataset("instre-s1-test", folder.parent)
    assert (dataset.class_ids, dataset.image_ids) == ([2], [2, 3])
    assert dataset.load_image(2).size == dataset.size_of_image(2)


def test_classes_are_divided_in_the_order_of_the_table(folder: Path) -> None:
    classes = [f"INSTRE-S2/{k:02d}_boat/001.jpg" for k in range(10, 33)]
    for name in classes:
        photo(folder / name, (20, 20))
        (folder / name).with_suffix(".txt").write_text("1 1 10 10\n")
    save_ground_truth(
        folder / "gnd_instre.mat", [(name, [k + 1], [0, 0, 9, 9]) for k, name in enumerate(classes)], classes
    )
    parts = {part: build_dataset(f"instre-s2-{part}", folder.parent).class_ids for part in ("train", "val", "test")}
    assert parts == {"train": list(range(17)), "val": [17], "test": list(range(18, 23))}
    assert build_dataset("instre-s1-train", folder.parent).class_ids == []


def test_a_finished_table_is_kept(folder: Path) -> None:
    build_dataset("instre-all", folder.parent)
    files = [folder / "classes/instre.csv", *(folder / "classes/images").iterdir()]
    before = [f.stat().st_mtime_ns for f in files]
    (folder / "gnd_instre.mat").unlink()
    assert len(build_dataset("instre-all", folder.parent)) == 6
    assert [f.stat().st_mtime_ns for f in files] == before


def test_what_a_killed_process_left_is_not_taken_for_finished(folder: Path) -> None:
    images = folder / "classes/images"
    images.mkdir(parents=True)
    (images / "00000_INSTRE-S1_01a_tea_001.jpg").write_bytes(b"half")
    dataset = build_dataset("instre-all", folder.parent)
    assert dataset.class_image(0).size == (30, 20)
    assert not list(folder.rglob(".unfinished*"))


def test_an_error_leaves_no_table(folder: Path) -> None:
    (folder / TEA).with_suffix(".txt").write_text("1 2 three 4\n")
    with pytest.raises(DataError, match=r"001\.txt: expected lines of four whole numbers"):
        build_dataset("instre-all", folder.parent)
    assert not list(folder.rglob("*.csv"))


def test_processes_that_start_together_make_one_table(folder: Path) -> None:
    made = folder / "classes/instre.csv"
    arguments = f"Path({str(folder)!r}), Path({str(made)!r})"
    script = f"from pathlib import Path; from os2d.data.instre import ensure_instre; ensure_instre({arguments})"
    processes = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE) for _ in range(3)]
    assert [(p.communicate()[1], p.returncode) for p in processes] == [(b"", 0)] * 3
    assert build_dataset("instre-all", folder.parent).num_boxes == 7
    assert not list(folder.rglob(".unfinished*"))


@pytest.mark.parametrize(
    ("query", "positive", "said"),
    [
        ("INSTRE-S1/01a_tea/001.jpg", "INSTRE-S2/07_boat/001.jpg", "cannot be a positive of the query INSTRE-S1"),
        ("INSTRE-S2/07_boat/001.jpg", "INSTRE-M/01_tea_cup/001.jpg", "cannot be a positive of the query INSTRE-S2"),
        ("INSTRE-S1/01c_tea/001.jpg", "INSTRE-M/01_tea_cup/001.jpg", "expected a or b as the third letter"),
    ],
)
def test_a_photo_that_cannot_show_the_query_is_refused(folder: Path, query: str, positive: str, said: str) -> None:
    photo(folder / "INSTRE-S1/01c_tea/001.jpg")
    add_query(folder, query, [positive])
    with pytest.raises(DataError, match=said):
        build_dataset("instre-all", folder.parent)


def test_a_photo_of_two_objects_needs_two_boxes(folder: Path) -> None:
    (folder / "INSTRE-M/01_tea_cup/001.txt").write_text("3 2 6 4\n")
    with pytest.raises(DataError, match=r"01_tea_cup/001\.txt: expected two boxes .* found 1"):
        build_dataset("instre-all", folder.parent)


def test_several_boxes_of_one_part_are_all_taken(folder: Path) -> None:
    (folder / TEA).with_suffix(".txt").write_text("6 4 12 8\n12 8 24 16\n\n")
    assert [row[2:6] for row in rows(folder)][:2] == [(0, TEA, 0.1, 0.1), (0, TEA, 0.2, 0.2)]


def test_a_missing_file_is_named_with_what_to_do(folder: Path) -> None:
    (folder / "gnd_instre.mat").unlink()
    with pytest.raises(DataError, match=r"gnd_instre\.mat: no such file; .*oneshot data fetch instre"):
        build_dataset("instre-all", folder.parent)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_a_file_of_another_kind_is_refused(folder: Path, content: bytes) -> None:
    (folder / "gnd_instre.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"gnd_instre\.mat: (is not a MATLAB file|expected the lists)"):
        build_dataset("instre-all", folder.parent)


def test_a_path_out_of_the_folder_is_refused(folder: Path) -> None:
    save_ground_truth(folder / "gnd_instre.mat", [("../secret.jpg", [1], [0, 0, 9, 9])], [TEA])
    with pytest.raises(DataError, match=r"'\.\./secret\.jpg' is not a path inside"):
        build_dataset("instre-all", folder.parent)


def test_a_positive_beyond_the_list_is_refused(folder: Path) -> None:
    save_ground_truth(folder / "gnd_instre.mat", [(TEA, [2], [0, 0, 9, 9])], [TEA])
    with pytest.raises(DataError, match="has positive number 2, but there are 1 photos"):
        build_dataset("instre-all", folder.parent)


def test_boxes_that_reach_out_of_a_published_photo_are_taken_as_they_are(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / TEA).with_suffix(".txt").write_text("6 4 60 20\n")
    with caplog.at_level(logging.INFO):
        assert build_dataset("instre-all", folder.parent).gtboxframe["rx"].iloc[0] == pytest.approx(1.1)
    assert "1 of 7 boxes are empty or reach out of their image" in caplog.text
