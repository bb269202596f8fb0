"""The tests that ``docs/testing.md`` names exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def functions_of(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_would_catch_a_defect_exists():
    named = re.findall(r"`((?:unit|golden|integration)/\w+\.py)::(\w+)`", (ROOT / "docs" / "testing.md").read_text())
    assert len(named) > 20
    assert [(file, test) for file, test in named if test not in functions_of(ROOT / "tests" / file)] == []


def test_every_file_of_tests_that_is_named_exists():
    named = set(re.findall(r"`(test_\w+\.py|tests/[\w/]+\.py)`", (ROOT / "docs" / "testing.md").read_text()))
    assert named
    missing = {name for name in named if not (ROOT / name).is_file() and not list((ROOT / "tests").rglob(name))}
    assert missing == set()
