"""What the documents say: their blocks, the commands in them, code in the running text, and links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *PAGES]

LANGUAGES = {
    "bash": "commands, one a line",
    "console": "commands behind a $, and what they print",
    "text": "no command",
    "": "no command",
    "python": "Python",
    "json": "JSON",
    "yaml": "YAML",
}
"""Language of a block -> what is in it."""
PROGRAMS = ("bash ", "curl ", "docker ", "make ", "mlflow ", "oneshot ", "pip ", "pytest ", "python", "torchrun ")
"""What a line with a command begins with; blocks without commands have no such line, so that none is overlooked."""

BLOCK = re.compile(r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
COMMENT = re.compile(r"(^|\s+)#(\s.*)?$")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        place: ``docs/file.md:line``, for messages.
        language: the word behind the fence.
    """

    place: str
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command of a block, continued lines joined, without its comment, with single spaces between words."""

    place: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def program(self) -> str:
        """What it calls, in the word that a test of it cannot do without."""
        match self.words:
            case ["oneshot", "data" | "models" | "bench", name, *_]:
                return name
            case ["python", "-m", module, *_]:
                return module.rpartition(".")[2]
            case ["python" | "bash", script, *_]:
                return "main(" if script in ("my_experiments.py", "experiments/quickstart.py") else Path(script).stem
            case ["." | "source", file, *_]:
                return Path(file).parent.name
            case ["oneshot", name, *_] | [name, *_]:
                return name
        raise ValueError(f"{self.place}: no command in {self.text!r}")

    @property
    def is_a_pattern(self) -> bool:
        """Whether it stands for several commands, as ``oneshot plan | run`` and ``oneshot data ...`` do."""
        return bool(re.search(r"\.\.\.|[|\[<…]", self.text))

    def is_in(self, document: Path) -> bool:
        return self.place.startswith(f"{document.relative_to(ROOT)}:")


def blocks(document: Path) -> Iterator[Block]:
    """Return the fenced blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(f"{document.relative_to(ROOT)}:{line}", found["language"].strip(), found["text"])


def commands(document: Path) -> Iterator[Command]:
    """Return the commands in the blocks of a document, in order."""
    for block in blocks(document):
        if block.language in ("bash", "console"):
            for line in block.text.replace("\\\n", " ").splitlines():
                if block.language == "console":
                    if not line.startswith("$ "):
                        continue
                    line = line.removeprefix("$ ")
                text = " ".join(COMMENT.sub("", line).split())
                if text:
                    yield Command(block.place, text)


def all_commands() -> list[Command]:
    """Return the commands in the blocks of all documents."""
    return [command for document in DOCUMENTS for command in commands(document)]


def running_text(document: Path) -> str:
    """Return a document without its blocks."""
    return BLOCK.sub("", document.read_text(encoding="utf-8"))


def code_in_text(document: Path) -> list[str]:
    """Return what stands between single backticks in the running text."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", running_text(document))]


def links(document: Path) -> list[str]:
    """Return the targets of links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", running_text(document))
