"""The paper's tables: their layout and their published values are those of ``tests/data/paper_tables.json``.

That file holds what could be read of the publications, each value with its source.
"""

import json
from pathlib import Path

import pytest

from experiments import imagenet_episodes, onenet_coco, released_models
from experiments.table1_ablation import ablation_table
from experiments.table2_initialisations import initialisations_table
from experiments.table3_retail import retail_table
from experiments.table4_instre import instre_table
from orchestration.describe import Table
from orchestration.plan import plan
from orchestration.tables.references import reference_template

PUBLISHED = {
    table["id"]: table
    for table in json.loads((Path(__file__).parents[1] / "data" / "paper_tables.json").read_text("utf-8"))["tables"]
}
SOURCES = {
    "README of OS2D": {"os2d_readme", "seed_os2d, os2d_readme"},
    "README of OneNet": {"onenet_readme_history", "seed_onenet, onenet_readme_history"},
}
CLASS_DETECTOR = "Class detector (class-aware Faster R-CNN)"
FINAL_STATE = {
    "R18_dcn, final state (since 2021-06-27)": "R18_dcn",
    "R18_nodcn, final state": "R18_nodcn",
    "R50_dcn, seed state and final state": "R50_dcn",
    "R50_nodcn, seed state and final state": "R50_nodcn",
    "R50_RetinaNet, final state": "R50_RetinaNet",
    "R50_FCOS, final state": "R50_FCOS",
}


def published_values(identifier, row_name, columns):
    """Return (row, column) -> (value, sources, status) of the file, for the columns that ours has."""
    table = PUBLISHED[identifier]
    names = [columns.get(column, column) for column in table["columns"]]
    return {
        (row_name(row), name): (cell["value"], cell["source"], cell["status"])
        for row in table["rows"]
        if row_name(row) is not None
        for name, cell in zip(names, row["cells"], strict=True)
        if cell["value"] is not None and name is not None
    }


CASES = [
    (
        "os2d_released_models",
        released_models.table,
        lambda row: row["row"],
        {"grozi-val-new-cl, single scale (pyramid [1.0])": "grozi-val-new-cl, single scale"},
    ),
    ("os2d_table1", ablation_table(), lambda row: row["row"], {}),
    ("os2d_table2", initialisations_table(), lambda row: f"{row['arch']} {row['init']}", {}),
    ("os2d_table3", retail_table(), lambda row: row["row"], {}),
    ("os2d_table4", instre_table(), lambda row: row["row"], {}),
    ("os2d_imagenet", imagenet_episodes.episodes_table(), lambda row: row["row"], {}),
    (
        "onenet_readme",
        onenet_coco.coco_table,
        lambda row: FINAL_STATE.get(row["row"]),
        {"inference FPS": "FPS here", "box AP": "AP", "training hours": None},
    ),
    (
        "onenet_crowdhuman",
        onenet_coco.crowdhuman_table,
        lambda row: row["row"],
        {"FPS": "FPS here", "hours": None},
    ),
]
IDS = [case[0] for case in CASES]


@pytest.mark.parametrize(("identifier", "table", "row_name", "columns"), CASES, ids=IDS)
def test_published_values_are_those_that_were_read(identifier, table: Table, row_name, columns):
    ours = {place: one for place, one in table.published.items() if one.value is not None}
    theirs = published_values(identifier, row_name, columns)
    assert ours.keys() == theirs.keys()
    for place, one in ours.items():
        value, sources, status = theirs[place]
        assert (one.value, one.status) == (value, status)
        assert sources in SOURCES[one.source]


@pytest.mark.parametrize(("identifier", "table", "row_name", "columns"), CASES, ids=IDS)
def test_rows_are_the_published_ones_in_their_order(identifier, table: Table, row_name, columns):
    theirs = [row_name(row) for row in PUBLISHED[identifier]["rows"] if row_name(row) is not None]
    ours = [row.title for row in table.rows or ()]
    if identifier == "os2d_table3":  # theirs has one row for two detectors
        assert ours.pop(0) == f"{CLASS_DETECTOR}, ResNet-50"
        ours[0] = ours[0].removesuffix(", ResNet-101")
    assert sorted(ours) == sorted(theirs) if identifier == "onenet_readme" else ours == theirs


def test_columns_are_the_published_ones():
    for identifier, table in {case[0]: case[1] for case in CASES[1:5]}.items():
        assert [column.name for column in table.columns] == PUBLISHED[identifier]["columns"]
    groups = dict.fromkeys(column.group for column in imagenet_episodes.episodes_table().columns)
    assert list(groups) == PUBLISHED["os2d_imagenet"]["columns"]


def test_labels_of_table_1_are_the_published_settings():
    keys = ("transform", "loss", "remap_targets", "mining", "init_transform", "loc_weight")
    theirs = [tuple(row["config"][key] for key in keys) for row in PUBLISHED["os2d_table1"]["rows"]]
    ours = [row.labels[1:] for row in ablation_table().rows or ()]
    full = {"V1, full affine, not inverted": "V1 with full affine, not inverted"}
    assert [(full.get(label[0], label[0]), *label[1:]) for label in ours] == theirs


def test_labels_of_table_2_are_the_published_sources():
    keys = ("arch", "init", "source_task", "source_data")
    theirs = [tuple(row[key] for key in keys) for row in PUBLISHED["os2d_table2"]["rows"]]
    assert [row.labels for row in initialisations_table().rows or ()] == theirs


def test_only_class_detectors_have_cells_that_cannot_be():
    theirs = {
        (row["row"], column)
        for row in PUBLISHED["os2d_table3"]["rows"]
        for column, cell in zip(PUBLISHED["os2d_table3"]["columns"], row["cells"], strict=True)
        if cell["status"].startswith("not applicable")
    }
    ours = {
        (row.title.partition(", ResNet")[0], column)
        for row in retail_table().rows or ()
        for column in row.not_applicable
    }
    assert ours == theirs


def test_every_cell_of_every_table_has_its_trials(tmp_path, monkeypatch):
    """All tables together, in a folder with neither data nor weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONESHOT_DATA", raising=False)
    tables = [
        ablation_table(),
        initialisations_table(),
        retail_table(),
        instre_table(),
        imagenet_episodes.episodes_table(),
        released_models.table,
    ]
    found = plan(tables)
    for table in tables:
        for line in found.lines_of(table):
            for column, trials in zip(table.columns, line.cells, strict=True):
                empty = line.row.unfilled or column.name in line.row.not_applicable
                full = 10 if column.is_pooled else 1
                assert len(trials) == (0 if empty else full), (table.name, line.row.title, column.name)
    assert len(reference_template(found).splitlines()) == 1 + 12 + 30 + 10 * 5 - 8 + 24 + 42 + 6


@pytest.mark.parametrize("make", [ablation_table, initialisations_table, retail_table, instre_table])
def test_more_seeds_are_more_trials_of_every_cell(make):
    lines = plan([make(seeds=3)]).lines_of(make(seeds=3))
    assert {len(trials) for line in lines for trials in line.cells} <= {0, 3}
