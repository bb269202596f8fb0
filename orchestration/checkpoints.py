"""The checkpoints of a trial: the last few to resume from, and the named ones.

Files are written by ``torch.save`` and read with ``weights_only=True``, so they run no code. A task that never imported
torch has no tensors: its state is written as JSON in an archive of the same kind, and its workers start in a fraction
of the time. A file that a crash or a disk damaged is told by its checksum, put aside, and the one before it is used.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from orchestration.durable import from_json, make_folder, to_json, write_whole
from orchestration.errors import JournalError
from orchestration.seal import is_intact, write_sealed

KEPT = 2
PLAIN_STATE = "state.json"


class Checkpoints:
    """The folder ``checkpoints/``; it has one writer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read_back = False

    def save(self, state: Mapping[str, Any], step: int, name: str | None) -> Path:
        """Write a checkpoint, then drop the unnamed ones that are no longer needed."""
        path = self.path(step, name)
        make_folder(self.folder)
        try:
            write_whole(path, lambda file: _write(dict(state), file))
        except RuntimeError as error:  # how torch's own writer reports what the operating system refused
            if "PytorchStreamWriter" not in str(error) and "inline_container" not in str(error):
                raise
            raise JournalError(f"{path}: cannot be written completely; free space and run the same command") from error
        if name is None:
            if not self._read_back:  # once: better to fail at the first checkpoint than when the last one is needed
                _load(path)
                self._read_back = True
            for old in self.unnamed()[:-KEPT]:
                old.unlink()
        return path

    def path(self, step: int, name: str | None) -> Path:
        """Return where a checkpoint lies."""
        if name is not None and (not name or Path(name).name != name or name.startswith((".", "step_"))):
            raise ValueError(f"checkpoint name {name!r}: expected a plain file name that does not start with 'step_'")
        return self.folder / (name or f"step_{step:08d}.pth")

    def at(self, step: int) -> Mapping[str, Any]:
        """Return the unnamed checkpoint of a step, which is known to be intact."""
        return _load(self.path(step, None))

    def newest_step(self, on_damage: Callable[[Path], object]) -> int | None:
        """Return the step of the newest intact unnamed checkpoint, or None when there is none.

        Damaged ones are renamed to ``<name>.damaged`` and reported.
        """
        for path in reversed(self.unnamed()):
            if is_intact(path):
                return step_of(path)
            path.replace(path.with_name(f"{path.name}.damaged"))
            on_damage(path)
        return None

    def copy_newest(self, donor: Checkpoints, generation: int) -> int | None:
        """Put a copy of another trial's newest checkpoint aside, for :meth:`take_over`; return its step.

        None means that there is none. The donor may be writing meanwhile, and drop what it no longer needs.
        """
        for path in reversed(donor.unnamed()):
            try:
                source = path.open("rb")
            except FileNotFoundError:
                continue
            make_folder(self.folder)
            copied = self._donated(generation)
            with source:
                write_whole(copied, lambda file, source=source: shutil.copyfileobj(source, file))  # type: ignore[misc]
            if is_intact(copied):
                return step_of(path)
        return None

    def take_over(self, generation: int, step: int) -> bool:
        """Replace all unnamed checkpoints by the copy, unless that was done before; only the holder of the claim may.

        A crash in between leaves the copy, and the next worker goes on from there.
        """
        copied = self._donated(generation)
        if not copied.exists():
            return False
        for own in self.unnamed():
            own.unlink()
        copied.replace(self.path(step, None))
        for leftover in self.folder.glob("donated_*.pth"):
            leftover.unlink()
        return True

    def _donated(self, generation: int) -> Path:
        return self.folder / f"donated_{generation}.pth"

    def unnamed(self) -> list[Path]:
        """Return the unnamed checkpoints, oldest first."""
        return sorted(self.folder.glob("step_*.pth"), key=step_of)

    def sweep(self) -> None:
        """Remove what interrupted writers left behind; only the holder of the claim may."""
        for leftover in self.folder.glob(".*"):
            leftover.unlink()


def step_of(path: Path) -> int:
    """Return the step of an unnamed checkpoint."""
    return int(path.stem.removeprefix("step_"))


def _write(state: dict[str, Any], file: BinaryIO) -> None:
    text = None if "torch" in sys.modules else _plain_json(state)
    if text is None:
        import torch  # heavy, and only tasks with tensors need it

        write_sealed(file, lambda sealed: torch.save(state, cast(BinaryIO, sealed)))
    else:
        write_sealed(file, lambda sealed: _write_plain(text, cast(BinaryIO, sealed)))


def _write_plain(text: str, file: BinaryIO) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(PLAIN_STATE, text)


def _plain_json(state: dict[str, Any]) -> str | None:
    """Return the state as JSON, or None when JSON would not give back the same state."""
    try:
        text = to_json(state)
    except TypeError:
        return None
    return text if _same(from_json(text), state) else None


def _same(read: Any, written: Any) -> bool:
    if type(read) is not type(written):
        return False
    if isinstance(read, dict):
        return list(read) == list(written) and all(_same(read[key], written[key]) for key in read)
    if isinstance(read, list):
        return len(read) == len(written) and all(map(_same, read, written))
    return bool(read == written) or (read != read and written != written)


def _load(path: Path) -> Mapping[str, Any]:
    with zipfile.ZipFile(path) as archive:
        if PLAIN_STATE in archive.namelist():
            plain: dict[str, Any] = from_json(archive.read(PLAIN_STATE).decode())
            return plain
    import torch

    try:
        state: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise JournalError(
            f"{path}: intact, but it cannot be loaded without running code ({reason:.200}); "
            "the task saved something other than numbers, text, plain containers and tensors"
        ) from error
    return state
