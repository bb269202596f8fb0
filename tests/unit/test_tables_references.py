"""Published values beside ours, and the file in which a reader adds some."""

import csv
import io

import pytest

from orchestration.describe import Column, Published, Row, Table
from orchestration.errors import DescriptionError
from orchestration.tables.build import build_table
from orchestration.tables.references import reference_template, with_references
from orchestration.tables.sources import FolderSource
from tests.unit.trial_folders import done, make_plan, make_trial

README = Published(88.7, "README", note="of March")


def table(**changes):
    settings = {
        "published": {("ours", "new"): README},
        "published_in": "Table 3 of a paper",
        "rows": [Row("ours", variant="ours"), Row("old, seen", variant="old", not_applicable={"group new": "seen"})],
    }
    columns = [Column("new", "map", scale=100), Column("new", "map", group="group", scale=100)]
    return Table("retail", "A table", "losses", columns, **{**settings, **changes})


@pytest.fixture
def plan():
    return make_plan([make_trial("ours"), make_trial("old", config={"a": 1})], [table()])


def file_with(tmp_path, *lines):
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(["table,row,column,value,source", *lines]) + "\n")
    return file


def test_the_template_has_every_cell_with_what_is_known(plan):
    assert list(csv.reader(io.StringIO(reference_template(plan)))) == [
        ["table", "row", "column", "value", "source"],
        ["retail", "ours", "new", "88.7", "README"],
        ["retail", "ours", "group new", "", "Table 3 of a paper"],
        ["retail", "old, seen", "new", "", "Table 3 of a paper"],
    ]


def test_a_template_that_nobody_filled_changes_nothing(plan, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(reference_template(plan))
    assert with_references(plan, file).tables == plan.tables


def test_values_of_a_reader_are_marked_as_theirs(plan, tmp_path):
    file = file_with(tmp_path, 'retail,"old, seen",new,70.5,page 12', "", "retail,ours,new,89,my copy")
    (merged,) = with_references(plan, file).tables
    assert merged.published == {
        ("old, seen", "new"): Published(70.5, "page 12", given_in="mine.csv"),
        ("ours", "new"): Published(89.0, "my copy", given_in="mine.csv"),
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("retial,ours,new,1,x", "line 2: there is no table 'retial'; did you mean 'retail'?"),
        ("retail,theirs,new,1,x", "line 2: there is no row 'theirs'; there are: ours, old, seen"),
        ("retail,ours,newer,1,x", "line 2: there is no column 'newer'; did you mean 'new'"),
        ('retail,ours,new,"88,7",x', "line 2: value: expected a number such as 88.7, got '88,7'"),
        ("retail,ours,new,nan,x", "line 2: Published(nan): expected a finite number and the source"),
        ("retail,ours,new,88.7,", "line 2: Published(88.7): expected a finite number and the source"),
        ("retail,ours,new,88,7,x", "line 2: expected 5 fields"),
        ('retail,"old, seen",group new,1,x', "line 2: row 'old, seen' has nothing in column 'group new'"),
        ("retail,ours,new,1,x\nretail,ours,new,2,x", "line 3: this cell was given before"),
    ],
)
def test_a_bad_line_is_named(plan, tmp_path, line, message):
    file = file_with(tmp_path, line)
    with pytest.raises(DescriptionError) as caught:
        with_references(plan, file)
    assert str(caught.value).startswith(f"{file}, {message}")


def test_another_file_is_told_what_one_looks_like(plan, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("a;b\n")
    with pytest.raises(DescriptionError, match="line 1: expected the fields table,row,column,value,source, got a;b"):
        with_references(plan, file)
    with pytest.raises(DescriptionError, match="cannot be read as text"):
        with_references(plan, tmp_path / "absent.csv")


def test_published_values_stand_in_the_cells_and_never_compete(plan, tmp_path):
    done(tmp_path, plan.trials[0], {"map": {1: 0.9}})
    done(tmp_path, plan.trials[1], {"map": {1: 0.8}})
    result = build_table(plan.tables[0], plan, FolderSource(tmp_path))
    first, grouped = result.cells[0]
    assert (first.published, first.see) == (README, "")
    assert first.difference == pytest.approx(1.3)
    assert (grouped.published, grouped.see) == (None, "Table 3 of a paper")
    assert result.cells[1][1].see == "", "a cell that cannot be has no published value"
    assert result.best() == {(0, 0)}
    json = result.as_json()[0]
    assert (json["published"], json["published_source"], json["published_note"]) == (88.7, "README", "of March")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"published": {("our", "new"): README}}, "published: there is no row 'our'"),
        ({"published": {("ours", "group"): README}}, "published: there is no column 'group'"),
        ({"rows": [Row("a", labels=["x"])], "published": {}}, "labels: expected 0 as there are heads, got 1"),
        ({"rows": [Row("a"), Row("a")], "published": {}}, "rows: a given more than once"),
        ({"rows": [Row("a", not_applicable={"b": "c"})], "published": {}}, "not_applicable: there is no column 'b'"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(DescriptionError) as caught:
        table(**changes)
    assert message in str(caught.value)
