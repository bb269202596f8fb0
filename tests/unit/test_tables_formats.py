"""One table, every format."""

import csv
import io
import json
import math

import pytest
from rich.console import Console

from orchestration.tables.formats import escape_latex, render, to_csv, to_html, to_latex, to_markdown, to_terminal
from orchestration.tables.result import Cell, ColumnHead, TableResult

NEW = "mAP new"
LOSS = "loss & more_"


@pytest.fixture
def table():
    cells = (
        (Cell("V1", NEW, 88.712, 0.34, 3, "done", 3), Cell("V1", LOSS, 0.5, None, 1, "done", 1)),
        (
            Cell("V2 <init>", NEW, 90.65, 0.1, 2, "partial", 3, "2 of 3 seeds: seed 2 is running"),
            Cell("V2 <init>", LOSS, 0.25, 0.05, 3, "done", 3),
        ),
        (Cell("V3_a", NEW, 80.0, 1.0, 3, "done", 3), Cell("V3_a", LOSS, None, None, 0, "failed", 3, "out of memory")),
    )
    heads = (ColumnHead(NEW, 1), ColumnHead(LOSS, 2, lower_is_better=True))
    return TableResult("ablation", "Ablation of 100%", ("V1", "V2 <init>", "V3_a"), heads, cells, caption="On shelves.")


def test_json_is_exactly_the_cells(table):
    cells = json.loads(render(table, "json"))

    assert cells[0] == {
        "table": "ablation",
        "row": "V1",
        "column": NEW,
        "mean": 88.712,
        "std": 0.34,
        "n": 3,
        "state": "done",
    }
    assert cells[1]["std"] is None, "one seed has no spread"
    assert (cells[5]["mean"], cells[5]["n"], cells[5]["state"]) == (None, 0, "failed")
    assert len(cells) == 6


def test_not_a_number_is_null_in_json():
    cell = Cell("row", "column", math.nan, math.nan, 2, "done", 2)
    result = TableResult("t", "t", ("row",), (ColumnHead("column"),), ((cell,),))
    assert json.loads(render(result, "json"))[0]["mean"] is None


def test_the_best_complete_cell_of_each_column_is_marked(table):
    assert table.best() == {(0, 0), (1, 1)}, "a partial cell cannot be the best"


def test_cells_written_alike_are_equally_good():
    cells = tuple((Cell(row, "c", mean, None, 1, "done", 1),) for row, mean in [("a", 1.01), ("b", 1.04), ("c", 0.2)])
    assert TableResult("t", "t", ("a", "b", "c"), (ColumnHead("c"),), cells).best() == {(0, 0), (1, 0)}


def test_markdown(table):
    lines = to_markdown(table).splitlines()

    assert lines[:5] == [
        "### Ablation of 100%",
        "",
        r"|  | mAP new | loss & more\_ |",
        "| --- | ---: | ---: |",
        "| V1 | **88.7 ± 0.3 (3)** | 0.50 (1) |",
    ]
    assert lines[5] == r"| V2 \<init\> | 90.7 ± 0.1 (2 of 3) | **0.25 ± 0.05 (3)** |"
    assert lines[6] == r"| V3\_a | 80.0 ± 1.0 (3) | failed |"
    assert "- V2 \\<init\\>, mAP new: 2 of 3 seeds: seed 2 is running" in lines


def test_latex_is_escaped_and_in_booktabs_style(table):
    text = to_latex(table)

    assert r"\caption{Ablation of 100\%. On shelves. Mean $\pm$ sample" in text
    assert r"\toprule" in text
    assert r"& mAP new & loss \& more\_ \\" in text
    assert r"V1 & $\mathbf{88.7 \pm 0.3}$ (3) & $0.50$ (1) \\" in text
    assert r"V2 \textless{}init\textgreater{} & $90.7 \pm 0.1$ (2 of 3)" in text
    assert r"V3\_a & $80.0 \pm 1.0$ (3) & failed \\" in text
    assert r"\label{tab:ablation}" in text


def test_every_command_character_of_latex_is_spelled_out():
    assert escape_latex(r"a\b{c}$&#%_~^") == (r"a\textbackslash{}b\{c\}\$\&\#\%\_\textasciitilde{}\textasciicircum{}")


def test_csv_reads_back_as_the_json_cells(table):
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))

    assert [row["row"] for row in rows] == ["V1", "V1", "V2 <init>", "V2 <init>", "V3_a", "V3_a"]
    assert float(rows[0]["mean"]) == 88.712
    assert rows[1]["std"] == rows[5]["mean"] == ""


def test_html_is_escaped_and_links_cells(table):
    fragment = to_html(table, link=lambda cell: f"#{cell.row[:2]}" if cell.n else None)

    assert "V2 &lt;init&gt;" in fragment
    assert '<td data-state="done"><a href="#V1"><b>88.7 ± 0.3</b>' in fragment
    assert '<td data-state="failed" title="out of memory"><span class="state">failed</span></td>' in fragment


def test_terminal(table):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(to_terminal(table))
    text = console.export_text()
    assert "88.7 ± 0.3 (3)" in text
    assert "V3_a, loss & more_: out of memory" in text
