"""Heads, groups, published values and marks in every written form; LaTeX is read by pdflatex."""

import io
import shutil
import subprocess

import pytest
from rich.console import Console

from orchestration.describe import Published
from orchestration.tables.formats import FORMATS, render, to_html, to_latex, to_markdown, to_page, to_terminal
from orchestration.tables.result import Cell, ColumnHead, TableResult

GROUPS = ("ResNet-50", "ResNet-50", "ResNet-101")
HEADS = tuple(ColumnHead(title, 1, group=group) for title, group in zip(("S1", "S2", "S1"), GROUPS, strict=True))
PAPER = "Table 4 of the paper"


def cell(row, j, mean=None, state="done", **more):
    values = {"n": 6, "wanted": 6, "std": 0.25} if mean is not None else {"n": 0, "std": None}
    return Cell(row, HEADS[j].name, mean, state=state, **{**values, **more})


@pytest.fixture
def table():
    cells = (
        (
            cell(
                "OS2D",
                0,
                88.0,
                published=Published(88.7, "README of 100% & more", note="one_seed"),
                address="http://h/1",
            ),
            cell("OS2D", 1, 70.0, see=PAPER),
            cell("OS2D", 2, state="running", reason="0 of 6 seeds, 6 running", see=PAPER),
        ),
        (
            cell("base", 0, 80.0, p=0.03, compared_with="OS2D", published=Published(81, "page 3", given_in="mine.csv")),
            cell("base", 1, state="unfilled", reason="no launcher → none", see=PAPER),
            cell("base", 2, state="not applicable", reason="knows its classes"),
        ),
    )
    labels = {"OS2D": ("OS2D", "yes", "0.5–0.9 × ±1 文"), "base": ("[base_line]", "no", "≥ 3 {a}|$^~#\\\t")}
    heads = ("Method", "Trained", "Odd & ends")
    return TableResult(
        "table 4_x", "INSTRE", ("OS2D", "base"), HEADS, cells, heads=heads, labels=labels, unit="mAP@0.50, %"
    )


def test_every_form_has_every_reason(table):
    for form in FORMATS:
        text = render(table, form)
        for reason in ("0 of 6 seeds, 6 running", "no launcher", "knows its classes"):
            assert reason in text, form


def test_markdown(table):
    lines = to_markdown(table).splitlines()
    assert lines[0] == "### INSTRE (mAP@0.50, %)"
    assert lines[2] == "| Method | Trained | Odd & ends | ResNet-50 S1 | ResNet-50 S2 | ResNet-101 S1 |"
    assert (
        "| **88.0 ± 0.2 (6)**<br>88.7 \\[a\\], −0.7 | 70.0 ± 0.2 (6)<br>see \\[b\\] | running<br>see \\[b\\] |"
        in lines[4]
    )
    assert "| 80.0 ± 0.2† (6)<br>81 \\[c\\], −1.0 | none<br>see \\[b\\] | n/a |" in lines[5]
    notes = "\n".join(lines[6:]).replace("\\", "")
    assert "[a] README of 100% & more (one_seed); [b] see Table 4 of the paper" in notes
    assert "[c] page 3 (given by the reader in mine.csv)" in notes
    assert "†: worse than the best of its column, p < 0.05 (exact sign-flip test" in notes


def test_latex_has_groups_with_rules(table):
    text = to_latex(table)
    assert r" &  &  & \multicolumn{2}{c}{ResNet-50} & \multicolumn{1}{c}{ResNet-101} \\" in text
    assert r"\cmidrule(lr){4-5} \cmidrule(lr){6-6}" in text
    assert r"\begin{tabular}{lllrrr}" in text
    assert r"\label{tab:table-4-x}" in text
    assert r"{\footnotesize 88.7 [a], $-$0.7}" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(table, tmp_path):
    page = r"\documentclass{article}\usepackage{booktabs}\begin{document}" + to_latex(table) + r"\end{document}"
    (tmp_path / "page.tex").write_text(page, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert told.returncode == 0, told.stdout[-2000:]
    assert (tmp_path / "page.pdf").stat().st_size > 1000


def test_html_has_groups_and_links(table):
    text = to_html(table)
    assert '<th scope="colgroup" colspan="2">ResNet-50</th><th scope="colgroup" colspan="1">ResNet-101</th>' in text
    assert '<a href="http://h/1"><b>88.0 ± 0.2</b>' in text
    assert '<span class="published">88.7 [a], −0.7</span>' in text
    assert '<td data-state="unfilled" title="no launcher → none"><span class="state">none</span>' in text


def test_a_page_stands_alone(table):
    page = to_page([table, table])
    assert page.startswith('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">')
    assert page.count("<h2>INSTRE (mAP@0.50, %)</h2>") == page.count("<table") == 2
    assert render(table, "html").count("<h2>") == 1


def test_the_terminal_shows_groups_and_published_values(table):
    console = Console(width=180, record=True, file=io.StringIO())
    console.print(to_terminal(table))
    text = console.export_text()
    for part in ("INSTRE (mAP@0.50, %)", "ResNet-101", "88.0 ± 0.2 (6)", "88.7 [a], −0.7", "[base_line]"):
        assert part in text


def test_rows_that_do_not_compare_are_never_the_best(table):
    rows = tuple((cell(row, 0, mean),) for row, mean in (("OS2D", 1.0), ("base", 2.0), ("other", 3.0)))
    result = TableResult("t", "t", ("OS2D", "base", "other"), HEADS[:1], rows, incomparable=frozenset({"other"}))
    assert result.best() == {(1, 0)}
