from pathlib import Path

import pytest

from os2d.data.annotation import read_annotation, read_rows
from os2d.data.catalog import DatasetSource
from os2d.errors import DataError

HEADER = "imageid,imagefilename,classid,classfilename,gtbboxid,difficult,lx,ty,rx,by,split"
GOOD = "7,a.jpg,3,c.jpg,0,0,0.1,0.2,0.5,0.6,train"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def changed(**values: str) -> str:
    cells = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | values
    return ",".join(cells.values())


def source(path: Path, *splits: str) -> DatasetSource:
    return DatasetSource("own", path, path.parent, path.parent, 100, splits)


def test_a_row_keeps_its_values_and_its_line(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, HEADER, "", GOOD))

    assert rows[0]._asdict() == {
        **{"line": 3, "imageid": 7, "imagefilename": "a.jpg", "classid": 3, "classfilename": "c.jpg", "gtbboxid": 0},
        **{"difficult": False, "lx": 0.1, "ty": 0.2, "rx": 0.5, "by": 0.6, "split": "train"},
    }


def test_file_names_default_to_the_ids(tmp_path: Path) -> None:
    path = write(tmp_path, "imageid,classid,gtbboxid,difficult,lx,ty,rx,by", "7,3,0,1,0,0,1,1")
    (row,) = read_rows(path)
    assert (row.imagefilename, row.classfilename, row.difficult) == ("7.jpg", "3.jpg", True)


def test_a_spreadsheet_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"{HEADER}\n{GOOD}\n", encoding="utf-8-sig")
    assert read_rows(path)[0].imageid == 7


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (changed(lx="left"), "lx: expected a number, got 'left'"),
        (changed(lx=""), "lx: expected a number, got ''"),
        (changed(imageid="7.5"), "imageid: expected a whole number, got '7.5'"),
        (changed(imageid="inf"), "imageid: expected a whole number, got 'inf'"),
        (changed(classid="-1"), "classid: expected a number of at least 0, got -1"),
        (changed(difficult="2"), "difficult: expected 0 or 1, got 2"),
        (changed(rx="1.2"), "rx: 1.2 lies outside the image"),
        (changed(rx="320"), "rx: 320 lies outside the image"),
        (changed(ty="nan"), "ty: nan lies outside the image"),
        (changed(lx="0.5"), "reversed or empty: lx=0.5 must be less than rx=0.5"),
        (changed(by="0.1"), "reversed or empty: ty=0.2 must be less than by=0.1"),
        (changed(imagefilename="../a.jpg"), "imagefilename: '../a.jpg' is not a file inside the image folder"),
        (changed(imagefilename="/etc/a.jpg"), "imagefilename: '/etc/a.jpg' is not a file inside"),
        (changed(classfilename="sub\\..\\..\\c.jpg"), "is not a file inside the image folder"),
        (changed(imagefilename=""), "imagefilename: '' is not a file inside"),
        (changed(imagefilename="b.jpg"), "imageid 7 has imagefilename 'b.jpg', but 'a.jpg' in line 2"),
        (changed(classfilename="d.jpg"), "classid 3 has classfilename 'd.jpg', but 'c.jpg' in line 2"),
        (GOOD.rpartition(",")[0], "expected 11 values as in the header, found 10"),
    ],
)
def test_a_wrong_row_is_refused_by_its_line(tmp_path: Path, row: str, said: str) -> None:
    path = write(tmp_path, HEADER, GOOD, row)
    with pytest.raises(DataError) as error:
        read_rows(path)
    assert f"{path}, line 3: " in str(error.value)
    assert said in str(error.value)


def test_a_box_may_stick_out_by_a_rounding_error(tmp_path: Path) -> None:
    assert read_rows(write(tmp_path, HEADER, changed(lx="-0.0005", rx="1.0009")))[0].rx == 1.0009


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1: column 'imageid' is missing"),
        (HEADER.replace("lx", "left").encode(), "line 1: column 'lx' is missing"),
        (HEADER.replace(",", ";").encode(), "separated by commas, found imageid;imagefilename"),
        (HEADER.encode(), "holds no boxes"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (HEADER.encode() + b'\n"7,a', "is not a CSV table"),
    ],
)
def test_a_file_that_is_no_annotation_table_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_rows(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv: no such annotation file"):
        read_rows(tmp_path / "absent.csv")


def test_a_split_selects_rows_and_the_images_that_have_one(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, GOOD, changed(imageid="8", imagefilename="b.jpg", split="val"))
    annotation = read_annotation(source(path, "val"))
    assert [row.imageid for row in annotation.rows] == [8]
    assert annotation.file_of_image == {8: "b.jpg"}


def test_an_unknown_split_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, GOOD, changed(split="val"))
    with pytest.raises(DataError, match="no row has split 'test'; column 'split' holds 'train', 'val'"):
        read_annotation(source(path, "test"))


def test_a_split_needs_the_column(tmp_path: Path) -> None:
    path = write(tmp_path, "imageid,classid,gtbboxid,difficult,lx,ty,rx,by", "7,3,0,1,0,0,1,1")
    with pytest.raises(DataError, match="has no column 'split'"):
        read_annotation(source(path, "train"))


def test_the_real_photo_table_is_read(photos: Path) -> None:
    rows = read_rows(photos / "cards" / "classes" / "cards.csv")
    assert {row.split for row in rows} == {"train", "val"}
    assert len({row.classid for row in rows}) == 6
