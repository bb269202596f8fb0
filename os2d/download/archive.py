"""Unpack an archive of strangers: nothing outside the folder, nothing half, nothing of the user's overwritten."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from os2d.download.partial import check_room, disk_errors, readable_bytes
from os2d.download.progress import SILENT, Narrator, Report
from os2d.download.remote import is_web_page
from os2d.errors import DownloadError

COPY_BYTES = 1 << 20

_LEFT_OUT = "__MACOSX/"
"""Where a Mac puts what only a Mac understands."""


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to; the published ones hold photos, which hardly shrink.

    Args:
        growth: how many times larger than the archive its content may be, beyond ``free_bytes``.
        free_bytes: what any archive may unpack to.
        members: number of files and folders.
    """

    growth: int = 20
    free_bytes: int = 1 << 30
    members: int = 1_000_000


LIMITS = Limits()


@dataclass(frozen=True)
class Unpacked:
    """What came out of an archive.

    Args:
        files: how many.
        top: the files and folders at its top.
        kept: files that existed with another content and were left as they are.
    """

    files: int
    top: tuple[Path, ...]
    kept: tuple[Path, ...]


def unpack(
    archive: Path,
    folder: Path,
    *,
    replace: bool,
    before_moving: Callable[[], None] = lambda: None,
    narrator: Narrator = SILENT,
    limits: Limits = LIMITS,
) -> Unpacked:
    """Unpack a zip or tar archive into ``folder``, beside what is there.

    Everything is unpacked into a temporary folder first, so that an archive that is damaged or an interruption leaves
    ``folder`` as it was, and then moved: at once where nothing of that name exists.

    Args:
        archive: compressed in any way Python reads.
        folder: made when missing.
        replace: put the files of the archive in the place of existing ones; otherwise these are kept.
        before_moving: called when all is unpacked and sound, before the first change to what is there.
        narrator: tells about progress.
        limits: what is refused as too much.

    Raises:
        DownloadError: the archive is damaged, has members that would land elsewhere, or unpacks to too much.
    """
    unpack_members = _reader(archive)
    staging = folder / f".unpack-{archive.name}"
    with disk_errors(folder):
        shutil.rmtree(staging, ignore_errors=True)  # of an attempt that was killed
        staging.mkdir(parents=True)
    try:
        guard = _Guard(archive, limits)
        with narrator.bar(f"unpacking {archive.name}") as report, disk_errors(folder):
            try:
                unpack_members(archive, staging, guard, report)
            except _DAMAGE as error:
                raise DownloadError(
                    f"{archive}: the archive is damaged ({error or type(error).__name__}); fetch it again with --force"
                ) from error
        before_moving()
        with disk_errors(folder):
            top = tuple(sorted(folder / entry.name for entry in staging.iterdir()))
            kept: list[Path] = []
            _merge(staging, folder, replace, kept)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Unpacked(guard.files, top, tuple(kept))


_DAMAGE = (
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    tarfile.ReadError,
    tarfile.HeaderError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a compression method that this Python lacks
    UnicodeDecodeError,
)

_Reader = Callable[[Path, Path, "_Guard", Report], None]


def _reader(archive: Path) -> _Reader:
    """Return what unpacks this kind of archive, told from its content."""
    try:
        if is_web_page(archive):
            raise DownloadError(
                f"{archive}: is a web page and no archive (a login or quota page saved under this name); "
                "fetch it again with --force"
            )
        if zipfile.is_zipfile(archive):
            return _unpack_zip
        if tarfile.is_tarfile(archive):
            return _unpack_tar
    except OSError as error:
        raise DownloadError(f"{archive}: cannot be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        raise DownloadError(f"{archive}: the archive is damaged ({error}); fetch it again with --force") from error
    raise DownloadError(f"{archive}: is neither a zip nor a tar archive; fetch it again with --force")


class _Guard:
    """Checks every member before anything of it is written."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.archive = archive
        self.compressed_bytes = archive.stat().st_size
        self.bytes = 0
        self.files = 0
        self._members = 0
        self._links: set[PurePosixPath] = set()
        self._limits = limits
        self._most_bytes = limits.free_bytes + limits.growth * self.compressed_bytes

    def place(self, name: str) -> PurePosixPath:
        """Return where a member goes, relative to the folder; raise if that is not inside it."""
        path = PurePosixPath(name)
        if path.is_absolute() or PureWindowsPath(name).drive or "\\" in name or "\0" in name or ".." in path.parts:
            raise DownloadError(f"{self.archive}: member {name!r} would land outside its folder; nothing was unpacked")
        if any(step in self._links for step in (path, *path.parents)):
            raise DownloadError(
                f"{self.archive}: member {name!r} would be written through a link; nothing was unpacked"
            )
        return path

    def count(self, size: int, is_file: bool) -> None:
        """Count a member; raise when all together become too much."""
        self._members += 1
        self.files += is_file
        self.bytes += size
        if self.bytes > self._most_bytes or self._members > self._limits.members:
            raise DownloadError(
                f"{self.archive}: {readable_bytes(self.compressed_bytes)} unpack to more than "
                f"{readable_bytes(self._most_bytes)} or {self._limits.members} files; refused, nothing was unpacked"
            )

    def link(self, place: PurePosixPath, target: str) -> None:
        """Check where a symbolic link points, and remember it: no member may go through it.

        Steps up are allowed at the beginning of a target only: behind a name they would start from wherever a link of
        that name leads.
        """
        steps = PurePosixPath(target).parts
        up = next((i for i, step in enumerate(steps) if step != ".."), len(steps))
        if target.startswith("/") or ".." in steps[up:] or up > len(place.parts) - 1:
            raise DownloadError(
                f"{self.archive}: member {str(place)!r} is a link to {target!r}, which may lie outside its folder; "
                "refused, nothing was unpacked"
            )
        self._links.add(place)

    def original(self, name: str, target: str) -> PurePosixPath:
        """Return the member that a hard link stands for; raise if it is no earlier file of the archive."""
        if ".." in PurePosixPath(target).parts or target.startswith("/"):
            raise DownloadError(
                f"{self.archive}: member {name!r} is a link to {target!r}, outside its folder; "
                "refused, nothing was unpacked"
            )
        return self.place(target)


def _unpack_zip(archive: Path, staging: Path, guard: _Guard, report: Report) -> None:
    with zipfile.ZipFile(archive) as opened:
        wanted = [member for member in opened.infolist() if not member.filename.startswith(_LEFT_OUT)]
        members = [(member, guard.place(member.filename)) for member in wanted]
        for member, _ in members:
            guard.count(member.file_size, not member.is_dir())
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DownloadError(
                    f"{archive}: member {member.filename!r} is a link or a device; nothing was unpacked"
                )
            if member.flag_bits & 1:
                raise DownloadError(f"{archive}: member {member.filename!r} is encrypted; nothing was unpacked")
        check_room(staging, guard.bytes, f"what {archive.name} holds")
        done = 0
        for member, place in members:
            target = staging / place
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(member) as source, target.open("wb") as copy:  # the checksum is verified at the end
                shutil.copyfileobj(source, copy, COPY_BYTES)
            done += member.file_size
            report(done, guard.bytes)


def _unpack_tar(archive: Path, staging: Path, guard: _Guard, report: Report) -> None:
    with archive.open("rb") as stream, tarfile.open(fileobj=stream) as opened:
        for member in opened:  # in one pass: listing the members first would decompress everything twice
            place = guard.place(member.name)
            guard.count(member.size if member.isreg() else 0, not member.isdir())
            _unpack_tar_member(opened, member, staging, place, guard)
            report(stream.tell(), guard.compressed_bytes)
        while opened.fileobj is not None and opened.fileobj.read(COPY_BYTES):
            pass  # up to the checksum of a compressed archive, which stands at its very end


def _unpack_tar_member(
    opened: tarfile.TarFile, member: tarfile.TarInfo, staging: Path, place: PurePosixPath, guard: _Guard
) -> None:
    """Write a member. Owners, modes and times are left out: they are those of another machine."""
    target = staging / place
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        guard.link(place, member.linkname)
        target.symlink_to(member.linkname)
    elif member.islnk():
        original = staging / guard.original(member.name, member.linkname)
        if not original.is_file():
            raise DownloadError(
                f"{guard.archive}: member {member.name!r} is a link to {member.linkname!r}, which is no earlier file; "
                "refused, nothing was unpacked"
            )
        os.link(original, target)
    elif member.isreg():
        content = opened.extractfile(member)
        assert content is not None  # as it always is for a regular file
        with content, target.open("wb") as copy:
            shutil.copyfileobj(content, copy, COPY_BYTES)
    else:
        raise DownloadError(f"{guard.archive}: member {member.name!r} is a device; nothing was unpacked")


def _merge(source: Path, folder: Path, replace: bool, kept: list[Path]) -> None:
    """Move everything from ``source`` to ``folder``; add to ``kept`` the existing files that differ and stay."""
    for entry in sorted(source.iterdir()):
        target = folder / entry.name
        is_folder = entry.is_dir() and not entry.is_symlink()
        if is_folder and target.is_dir():
            _merge(entry, target, replace, kept)
        elif not os.path.lexists(target):
            _move(entry, target)
        elif target.is_dir() or is_folder:
            kind = ("file", "folder") if target.is_dir() else ("folder", "file")
            raise DownloadError(f"{target}: is a {kind[1]}, the archive has a {kind[0]} there; move it away")
        elif replace:
            _move(entry, target)
        elif not _same_content(entry, target):
            kept.append(target)


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # a folder of the user may be a link to another disk
            raise
        beside = target.with_name(f".{target.name}.moving")
        shutil.move(source, beside)
        beside.replace(target)


def _same_content(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        if os.fstat(first.fileno()).st_size != os.fstat(second.fileno()).st_size:
            return False
        while block := first.read(COPY_BYTES):
            if block != second.read(COPY_BYTES):
                return False
    return True
