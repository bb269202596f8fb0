"""What to type, or to do by hand, to get a published data set or weights file.

Light on purpose (no torch, no network): error messages of other modules ask :func:`how_to_get`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePath
from shlex import quote

from os2d.download.sources import (
    DATASETS,
    MODELS,
    MODELS_FOLDER,
    WEIGHTS_BY_HAND,
    DatasetDownload,
    ModelDownload,
)


def find_dataset_download(name: str) -> DatasetDownload | None:
    """Return the entry called ``name`` or that provides the data set ``name``, in any case; None if there is none."""
    key = name.lower()
    for entry in DATASETS:
        if key == entry.name or any(fnmatchcase(key, pattern) for pattern in entry.provides):
            return entry
    return None


def find_model_download(name_or_path: str) -> ModelDownload | None:
    """Return the entry called ``name_or_path`` or that leads to a file of this name, converted or not; else None."""
    filename = PurePath(name_or_path).name
    for entry in MODELS:
        if name_or_path.lower() == entry.name.lower() or filename in _filenames(entry):
            return entry
    return None


def how_to_get(name_or_path: str) -> str | None:
    """Return one line that says what to type, or to do by hand, to get a data set or a weights file; None if unknown.

    Takes a name of the tables, the name of a data set (``grozi-val-new-cl``, ``instre-s1-train``), or the path of a
    published file, wherever it lies (``models/os2d_v2-train.pth``, also the names of converted files); the commands
    bring a weights file to that path.
    """
    model = find_model_download(name_or_path)
    if model is not None:
        return _how_to_get_model(model, PurePath(name_or_path))
    if PurePath(name_or_path).name in WEIGHTS_BY_HAND:
        return WEIGHTS_BY_HAND[PurePath(name_or_path).name]
    dataset = find_dataset_download(name_or_path) or _dataset_with_file(name_or_path)
    return None if dataset is None else _how_to_get_dataset(dataset)


def how_to_convert(entry: ModelDownload, folder: PurePath, output: PurePath | None = None) -> str:
    """Return the command that makes the file of ``entry`` in ``folder`` fit the network."""
    source = folder.joinpath(*PurePath(entry.files[0].file).parts[1:])
    command = f"oneshot models convert {quote(str(source))}"
    return command if output is None else f"{command} --output {quote(str(output))}"


def _how_to_get_model(entry: ModelDownload, wanted: PurePath) -> str:
    folder = _folder_of(entry, wanted)
    fetch = f"oneshot models fetch {entry.name}"
    if folder != MODELS_FOLDER:
        fetch += f" --folder {quote(str(folder))}"
    if entry.converted and wanted.name == _name(entry.converted):
        return f"{fetch}, then {how_to_convert(entry, folder)}"
    if wanted.name in map(_name, entry.also_called):
        return f"{fetch}, then {how_to_convert(entry, folder, output=wanted)}"
    return fetch


def _folder_of(entry: ModelDownload, wanted: PurePath) -> PurePath:
    """Return the folder that stands for the published ``models`` when a file of ``entry`` is to lie at ``wanted``."""
    for published in _paths(entry):
        below = published.parts[1:]
        if len(wanted.parts) > len(below) and wanted.parts[-len(below) :] == below:
            return PurePath(*wanted.parts[: -len(below)])
    return MODELS_FOLDER


def _how_to_get_dataset(entry: DatasetDownload) -> str:
    steps = [entry.manual if entry.manual else f"oneshot data fetch {entry.name}"]
    steps += [_how_to_get_dataset(other) for other in DATASETS if other.name in entry.needs]
    return "; and ".join(steps)


def _dataset_with_file(path: str) -> DatasetDownload | None:
    filename = PurePath(path).name
    return next((entry for entry in DATASETS if any(filename == _name(remote.file) for remote in entry.files)), None)


def _paths(entry: ModelDownload) -> list[PurePath]:
    paths = [remote.file for remote in entry.files] + [entry.converted, *entry.also_called]
    return [PurePath(path) for path in paths if path]


def _filenames(entry: ModelDownload) -> set[str]:
    return {path.name for path in _paths(entry)}


def _name(path: str) -> str:
    return PurePath(path).name
