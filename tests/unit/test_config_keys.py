"""No key of the configuration is there for show."""

import ast
from pathlib import Path

import pytest
from yacs.config import CfgNode

from os2d.config import default_config

OS2D = Path(__file__).resolve().parents[2] / "os2d"
DECLARING = {"config.py", "config_check.py", "config_reading.py"}


def keys(node: CfgNode, prefix: str) -> list[str]:
    return [
        key
        for name, value in node.items()
        for key in (keys(value, f"{prefix}.{name}") if isinstance(value, CfgNode) else [f"{prefix}.{name}"])
    ]


def names_read(path: Path) -> set[str]:
    """Return the attributes a module reads, and the strings it may look keys up with."""
    read: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            read.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            read.add(node.value)
    return read


@pytest.fixture(scope="module")
def read() -> set[str]:
    files = [path for path in OS2D.rglob("*.py") if path.name not in DECLARING]
    return set().union(*map(names_read, files))


@pytest.mark.parametrize("branch", ["train", "output", "eval", "runtime", "init", "model"])
def test_every_key_is_read_somewhere(branch: str, read: set[str]) -> None:
    unread = [key for key in keys(default_config()[branch], branch) if key.rpartition(".")[2] not in read]
    if branch == "output":
        unread.remove("output.save_log_to_file")  # main.py reads it
    assert not unread
