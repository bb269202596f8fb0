"""``docs/architecture.md`` names what is there: files, what is defined in them, words of theirs, and examples."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from experiments.sweep_example import sweep
from orchestration.plan import plan
from orchestration.tracking.metric_names import mlflow_name
from os2d.config import default_config
from os2d.engine.optimisation import build_annealing
from os2d.metric_names import at_iou, on_dataset, running
from tests.documents import BLOCK, ROOT

DOCUMENT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PLACES = ("baselines/", "docs/", "experiments/", "main.py", "orchestration/", "os2d/", "tests/")
DEFINITION = re.compile(r"_?[A-Z]\w*[a-z]\w*(\.\w+)?(\(\))?|\w+(\.\w+)?\(\)")
"""``Class``, ``Class.member``, ``Class.method()`` or ``function()``; everything else is a word of a file."""

ROOM = re.compile(r"\w+(\.py|/)")
"""A room of ``orchestration/``, as the table of its rooms calls it."""

METRIC = on_dataset(at_iou("mAP", 0.5), "grozi-val-new-cl")
NAME_BEGINS, NAME_ENDS = "RLL,train.optim.lr=0.003", "-seed0"
EXAMPLES = {at_iou("mAP", 0.5), METRIC, mlflow_name(METRIC), running("lr"), NAME_BEGINS, NAME_ENDS}
"""What functions return, named on the walks."""


def passages(text: str) -> Iterator[str]:
    """Yield paragraphs, items of lists and rows of tables: each names the files that it speaks of."""
    yield from re.split(r"\n\s*\n|\n(?=\d+\. |- |\|)", BLOCK.sub("", text))


def wrong_names(text: str) -> list[str]:
    """Return everything in backquotes that is neither a file or folder nor in one that the passage names."""
    wrong = []
    for passage in passages(text):
        codes = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", passage)]
        paths = {code: path_of(code) for code in codes if code.startswith(PLACES) or ROOM.fullmatch(code)}
        files = [file for path in paths.values() for file in python_files(path)]
        names = set().union(*map(defined, files))
        words = [file.read_text(encoding="utf-8") for file in files]
        for code in codes:
            if code in paths:
                is_there = paths[code].exists()
            elif DEFINITION.fullmatch(code):
                is_there = code.removesuffix("()") in names
            else:
                told = code.partition("<")[0]
                is_there = code in EXAMPLES or code.startswith("oneshot ") or any(told in text for text in words)
            wrong += [] if is_there else [code]
    return wrong


def path_of(code: str) -> Path:
    return ROOT / code if code.startswith(PLACES) else ROOT / "orchestration" / code


def python_files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path] * path.is_file()


@cache
def defined(file: Path) -> frozenset[str]:
    """Return the functions and classes of a file, and the members of its classes."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{name}" for member in node.body for name in names_of(member)}
    return frozenset(names)


def names_of(member: ast.stmt) -> list[str]:
    if isinstance(member, ast.FunctionDef):
        return [member.name]
    targets = member.targets if isinstance(member, ast.Assign) else [getattr(member, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_everything_that_is_named_is_there():
    assert wrong_names(DOCUMENT) == []


def test_every_step_of_a_walk_names_a_file():
    steps = [passage for passage in passages(DOCUMENT) if re.match(r"\d+\. ", passage)]
    assert len(steps) > 30
    assert [step for step in steps if not re.search(r"`(os2d|orchestration|experiments)/[\w/]+\.py`", step)] == []


def lines_of_rooms() -> list[list[str]]:
    """Return the lines of the table of the rooms of ``orchestration/``, from the bottom up."""
    rooms = [re.findall(r"`(\w+)(?:\.py|/)`", line.split("|")[1]) for line in DOCUMENT.splitlines() if "|" in line]
    first = next(i for i, line in enumerate(rooms) if "errors" in line)
    return rooms[first:]


def test_the_table_of_rooms_names_them_all_once():
    paths = (ROOT / "orchestration").iterdir()
    there = {path.stem for path in paths if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}
    assert sorted(room for line in lines_of_rooms() for room in line) == sorted(there)


def test_a_room_imports_those_of_its_line_and_of_the_lines_above():
    line_of = {room: i for i, line in enumerate(lines_of_rooms()) for room in line}
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for room in line_of
        for file in python_files(path_of(f"{room}.py" if path_of(f"{room}.py").exists() else f"{room}/"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in imported(node)
        if name.startswith("orchestration.") and line_of[name.split(".")[1]] > line_of[room]
    ]
    assert wrong == []


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("1. `orchestration/plans.py` makes trials.", ["orchestration/plans.py"]),
        ("- `orchestration/plan.py` `make_plan()` makes them.", ["make_plan()"]),
        ("| `orchestration/plan.py` | `Planner` |", ["Planner"]),
        ("`orchestration/journal.py`: `TrialFolder.status()`.", ["TrialFolder.status()"]),
        ("`orchestration/stop.py`: `StopReason.TIRED`.", ["StopReason.TIRED"]),
        ("`orchestration/journal.py` writes `results.json`.", ["results.json"]),
        ("`orchestration/plan.py` `plan()`\n\nand in the next paragraph `plan()`.", ["plan()"]),
        ("`orchestration/launch/` has no `Launchpad`.", ["Launchpad"]),
        ("| `plans.py`, `launches/` | rooms |", ["plans.py", "launches/"]),
    ],
)
def test_what_is_not_there_is_noticed(text, wrong):
    assert wrong_names(text) == wrong


def test_the_learning_rate_that_is_followed():
    assert f"The `Space` has {len(sweep.space.points)} points" in " ".join(DOCUMENT.split())
    trial = next(trial for trial in plan([sweep]).trials if trial.point["train.optim.lr"] == 3e-3)
    assert trial.name.startswith(NAME_BEGINS)
    assert trial.name.endswith(NAME_ENDS)
    optim, interval = trial.config["train"]["optim"], trial.config["eval"]["iter"]
    assert (optim["lr"], optim["optim_method"], interval, optim["max_iter"]) == (0.003, "adamw", 25, 100)
    anneal = default_config().train.optim.anneal_lr
    anneal.merge_from_list([word for key in ("type", "milestones", "gamma") for word in (key, optim["anneal_lr"][key])])
    annealing = build_annealing(torch.optim.SGD([torch.zeros(1)], lr=optim["lr"]), anneal, interval)
    rates = {step: annealing.step(step - 1, None) for step in range(interval, optim["max_iter"], interval)}
    assert rates == pytest.approx({25: 3e-3, 50: 3e-3, 75: 3e-4})
