"""Bring a published data set or published weights to their place: fetch, unpack, and leave a receipt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from os2d.download.archive import unpack
from os2d.download.google_drive import list_google_drive_folder
from os2d.download.partial import disk_errors, readable_bytes
from os2d.download.progress import SILENT, Narrator
from os2d.download.receipt import FileRecord, Receipt, read_receipt, receipt_path, write_receipt
from os2d.download.remote import is_web_page
from os2d.download.sources import DatasetDownload, ModelDownload, RemoteFile
from os2d.download.transfer import PAUSES_SECONDS, Address, address_of, fetch_file, google_drive_address
from os2d.errors import DownloadError

_MOST_NAMED = 5
"""How many files a message names before it only counts them."""


class State(StrEnum):
    """How a request ended, or how things stand."""

    FETCHED = "fetched"
    COMPLETE = "complete"  # was there already
    BY_HAND = "by hand"  # has no public address
    ABSENT = "absent"


@dataclass(frozen=True)
class Request:
    """How to fetch.

    Args:
        source: address or path that takes the place of the published one; a folder (path, or address that ends
            with ``/``) stands for one that holds all files under their published names.
        force: fetch again what is there, and replace files that differ.
        keep_archive: leave the archive beside what was unpacked.
        narrator: tells what happens.
        pauses_seconds: before each new attempt after a failed connection.
    """

    source: str | None = None
    force: bool = False
    keep_archive: bool = False
    narrator: Narrator = SILENT
    pauses_seconds: tuple[float, ...] = PAUSES_SECONDS


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Args:
        name: of the entry in the table.
        state: FETCHED, COMPLETE or BY_HAND.
        paths: where it lies, or will lie.
        files: what came in this call.
    """

    name: str
    state: State
    paths: tuple[Path, ...]
    files: tuple[FileRecord, ...] = ()


def fetch_dataset(entry: DatasetDownload, data_root: Path, request: Request) -> Outcome:
    """Fetch the files of named data sets into ``data_root``, which stands for the published folder ``data``."""
    held = tuple(place(path, data_root) for path in entry.holds)
    if dataset_state(entry, data_root) is State.COMPLETE and not (request.force and entry.files):
        return Outcome(entry.name, State.COMPLETE, held)
    if entry.manual:
        return Outcome(entry.name, State.BY_HAND, held)
    with _alone(data_root, entry.name, request.narrator) as had_to_wait:
        if had_to_wait and dataset_state(entry, data_root) is State.COMPLETE:
            return Outcome(entry.name, State.COMPLETE, held)
        records = _fetch_all(entry.name, entry.files, data_root, request)
    return Outcome(entry.name, State.FETCHED, held, records)


def fetch_model(entry: ModelDownload, folder: Path, request: Request) -> Outcome:
    """Fetch published weights into ``folder``, which stands for the published folder ``models``."""
    held = _model_paths(entry, folder)
    if model_state(entry, folder) is State.COMPLETE and not request.force:
        return Outcome(entry.name, State.COMPLETE, held)
    with _alone(folder, entry.name, request.narrator) as had_to_wait:
        if had_to_wait and model_state(entry, folder) is State.COMPLETE:
            return Outcome(entry.name, State.COMPLETE, held)
        records = _fetch_all(entry.name, _files_of(entry, request), folder, request)
    return Outcome(entry.name, State.FETCHED, held, records)


def dataset_state(entry: DatasetDownload, data_root: Path) -> State:
    """Tell whether a data set is there; also when it was unpacked without our help."""
    receipt = read_receipt(receipt_path(data_root, entry.name))
    if _all_there(receipt, data_root, [place(path, data_root) for path in entry.holds]):
        return State.COMPLETE
    return State.BY_HAND if entry.manual else State.ABSENT


def model_state(entry: ModelDownload, folder: Path) -> State:
    """Tell whether weights are there; a web page that was saved under their name does not count."""
    receipt = read_receipt(receipt_path(folder, entry.name))
    paths = [] if entry.google_drive_folder else [place(remote.file, folder) for remote in entry.files]
    if _all_there(receipt, folder, paths) and all(_usable(path) for path in paths):
        return State.COMPLETE
    return State.ABSENT


def place(published: str, folder: Path) -> Path:
    """Return where a published path lies when ``folder`` stands for its ``data`` or ``models``."""
    path = PurePosixPath(published)
    if path.parts[0] in ("data", "models"):
        return folder.joinpath(*path.parts[1:])
    return folder.parent / path


def _all_there(receipt: Receipt, folder: Path, expected: Sequence[Path]) -> bool:
    if receipt.moving:
        return False
    if expected and all(path.exists() for path in expected):
        return True
    return bool(receipt.holds) and all((folder / path).exists() for path in receipt.holds)


def _model_paths(entry: ModelDownload, folder: Path) -> tuple[Path, ...]:
    if entry.google_drive_folder:
        return (place(entry.folder, folder),)
    return tuple(place(remote.file, folder) for remote in entry.files)


def _files_of(entry: ModelDownload, request: Request) -> tuple[RemoteFile, ...]:
    if not entry.google_drive_folder:
        return entry.files
    if request.source is not None:
        raise DownloadError(f"{entry.name}: is a folder on Google Drive, --from cannot take its place: copy the files")
    listed = list_google_drive_folder(entry.google_drive_folder)
    if not listed:
        raise DownloadError(f"{entry.name}: the folder on Google Drive is empty")
    for path in listed:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise DownloadError(f"{entry.name}: the folder holds a file called {path!r}; nothing was fetched")
    return tuple(RemoteFile(f"{entry.folder}/{path}", google_drive_id=key) for path, key in listed.items())


def _fetch_all(name: str, files: Sequence[RemoteFile], folder: Path, request: Request) -> tuple[FileRecord, ...]:
    """Fetch every file and unpack the archives; the receipt in ``folder`` tells how far it got."""
    path = receipt_path(folder, name)
    receipt = read_receipt(path)
    fetched: list[FileRecord] = []
    holds: list[str] = []
    for remote in files:
        target = place(remote.file, folder)
        address = _address(remote, len(files), request.source)
        if remote.unpack_to and address.file is not None:  # an archive on this machine is unpacked where it lies
            holds += _unpack(address.file, remote, folder, request, path, receipt)
            continue
        if request.force or not _usable(target):
            fetched.append(_fetch_one(address, remote, target, request))
            receipt = _with_file(receipt, fetched[-1], is_archive=bool(remote.unpack_to))
            write_receipt(path, receipt)
        else:
            request.narrator.say(f"{target}: is there already")
        if not remote.unpack_to:
            holds.append(str(target.relative_to(folder)))
            continue
        holds += _unpack(target, remote, folder, request, path, receipt)
        if remote.file in receipt.archives and not request.keep_archive:  # a user's own archive stays
            with disk_errors(target):
                target.unlink()
    write_receipt(path, Receipt(files=receipt.files, holds=tuple(holds)))
    return tuple(fetched)


def _with_file(receipt: Receipt, record: FileRecord, is_archive: bool) -> Receipt:
    files = (*(other for other in receipt.files if other.file != record.file), record)
    archives = (*receipt.archives, record.file) if is_archive else receipt.archives
    return replace(receipt, files=files, archives=archives)


def _address(remote: RemoteFile, number_of_files: int, source: str | None) -> Address:
    """Return where a file comes from: the published address, or what ``--from`` says."""
    if source is None:
        return google_drive_address(remote.google_drive_id) if remote.google_drive_id else address_of(remote.url)
    filename = PurePosixPath(remote.file).name
    if source.endswith("/") and "://" in source:
        return address_of(f"{source}{filename}")
    if "://" not in source and Path(source).expanduser().is_dir():
        return address_of(str(Path(source).expanduser() / filename))
    if number_of_files > 1:
        raise DownloadError(
            f"--from {source}: there are {number_of_files} files to fetch: give a folder, or an address that ends with "
            "'/', that holds them under their published names"
        )
    return address_of(source)


def _usable(file: Path) -> bool:
    """Tell whether a file is there; a login page saved under its name is as good as none."""
    with disk_errors(file):
        return file.exists() and not is_web_page(file)


def _fetch_one(address: Address, remote: RemoteFile, target: Path, request: Request) -> FileRecord:
    narrator = request.narrator
    narrator.say(f"fetching {target} from {address.text}")
    sha256 = fetch_file(
        address, target, sha256_prefix=remote.sha256_prefix, narrator=narrator, pauses_seconds=request.pauses_seconds
    )
    size = target.stat().st_size
    narrator.say(f"fetched {target}: {readable_bytes(size)}, SHA-256 {sha256}")
    return FileRecord(remote.file, address.text, sha256, size)


def _unpack(
    archive: Path, remote: RemoteFile, folder: Path, request: Request, receipt_file: Path, receipt: Receipt
) -> list[str]:
    """Unpack and return what came out at the top, relative to ``folder``."""
    into = place(remote.unpack_to, folder)
    request.narrator.say(f"unpacking {archive} into {into}")
    unpacked = unpack(
        archive,
        into,
        replace=request.force,
        before_moving=lambda: write_receipt(receipt_file, replace(receipt, moving=True)),
        narrator=request.narrator,
    )
    if unpacked.kept:
        named = ", ".join(str(path) for path in unpacked.kept[:_MOST_NAMED])
        more = len(unpacked.kept) - _MOST_NAMED
        request.narrator.say(
            f"kept {len(unpacked.kept)} existing files that differ from the archive's: {named}"
            f"{f' and {more} more' if more > 0 else ''}; --force replaces them"
        )
    return [str(path.relative_to(folder)) for path in unpacked.top]


@contextmanager
def _alone(folder: Path, name: str, narrator: Narrator) -> Iterator[bool]:
    """Keep other processes off the same files; yields whether one of them had to be waited for."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".fetching-{name}.lock")
        had_to_wait = not _acquired_at_once(lock)
        if had_to_wait:
            narrator.say(f"{name}: another process is fetching it into {folder}; waiting for it")
            lock.acquire()
    try:
        yield had_to_wait
    finally:
        lock.release()


def _acquired_at_once(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
