"""Archives from strangers: real files made to be damaged or hostile."""

from __future__ import annotations

import io
import random
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from os2d.download.archive import Limits, unpack
from os2d.download.progress import Narrator, Report
from os2d.errors import DownloadError
from tests.unit.small_disk import mounted_small_disk

PHOTO = random.Random(1).randbytes(50_000)
FILES = {"grozi/classes/grozi.csv": b"imageid\n1\n", "grozi/src/3264/0.jpg": PHOTO, "grozi/readme": b"read me"}


def write_zip(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: Mapping[str, bytes], *special: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in special:
            archive.addfile(member)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data root with something in it; whatever escapes from it lands in its parent."""
    folder = tmp_path / "root" / "data"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    return folder


def assert_untouched(data: Path) -> None:
    assert contents(data.parent) == {"data/mine.txt": b"mine"}
    assert [entry.name for entry in data.iterdir()] == ["mine.txt"]


def assert_refused(archive: Path, data: Path, message: str, limits: Limits | None = None) -> None:
    with pytest.raises(DownloadError, match=message) as error:
        unpack(archive, data, replace=False, **({"limits": limits} if limits else {}))
    assert str(archive) in str(error.value)
    assert_untouched(data)


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_archives_are_unpacked_beside_what_is_there(tmp_path: Path, data: Path, mode: str) -> None:
    make = write_zip if mode == "zip" else lambda path, files: write_tar(path, files, mode=mode)
    archive = make(tmp_path / "archive", FILES)

    unpacked = unpack(archive, data, replace=False)

    assert contents(data) == {**FILES, "mine.txt": b"mine"}
    assert (unpacked.files, unpacked.top, unpacked.kept) == (3, (data / "grozi",), ())


def test_what_only_a_mac_understands_is_left_out(tmp_path: Path, data: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {**FILES, "__MACOSX/grozi/._readme": b"?"})

    unpack(archive, data, replace=False)

    assert contents(data) == {**FILES, "mine.txt": b"mine"}


def test_existing_files_are_kept_and_named_when_they_differ(tmp_path: Path, data: Path) -> None:
    (data / "grozi").mkdir()
    (data / "grozi" / "readme").write_bytes(b"changed")
    (data / "grozi" / "own").write_bytes(b"own")

    unpacked = unpack(write_zip(tmp_path / "a.zip", FILES), data, replace=False)

    expected = {**FILES, "grozi/readme": b"changed", "grozi/own": b"own", "mine.txt": b"mine"}
    assert contents(data) == expected
    assert unpacked.kept == (data / "grozi" / "readme",)


def test_existing_files_are_replaced_on_request(tmp_path: Path, data: Path) -> None:
    (data / "grozi").mkdir()
    (data / "grozi" / "readme").write_bytes(b"changed")

    unpacked = unpack(write_zip(tmp_path / "a.zip", FILES), data, replace=True)

    assert contents(data) == {**FILES, "mine.txt": b"mine"}
    assert unpacked.kept == ()


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path, data: Path) -> None:
    (data / "grozi" / "readme").mkdir(parents=True)

    with pytest.raises(DownloadError, match="readme: is a folder, the archive has a file there"):
        unpack(write_zip(tmp_path / "a.zip", FILES), data, replace=True)


def test_a_folder_that_links_elsewhere_is_filled_there(tmp_path: Path, data: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (data / "grozi").symlink_to(tmp_path / "large disk")

    unpack(write_zip(tmp_path / "a.zip", FILES), data, replace=False)

    assert contents(tmp_path / "large disk")["src/3264/0.jpg"] == PHOTO
    assert (data / "grozi").is_symlink()


OUTSIDE = ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:\\evil", "C:evil", "a/.."]


@pytest.mark.parametrize("name", OUTSIDE)
def test_zip_members_outside_the_folder_are_refused(tmp_path: Path, data: Path, name: str) -> None:
    archive = write_zip(tmp_path / "a.zip", {**FILES, name: b"evil"})

    assert_refused(archive, data, "would land outside")


@pytest.mark.parametrize("name", OUTSIDE)
def test_tar_members_outside_the_folder_are_refused(tmp_path: Path, data: Path, name: str) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", {**FILES, name: b"evil"})

    assert_refused(archive, data, "would land outside")


def test_a_link_in_a_zip_is_refused(tmp_path: Path, data: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", FILES)
    with zipfile.ZipFile(archive, "a") as opened:
        member = zipfile.ZipInfo("grozi/link")
        member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        opened.writestr(member, "/etc/passwd")

    assert_refused(archive, data, "is a link or a device")


@pytest.mark.parametrize(
    ("special", "files", "message"),
    [
        ([link("out", "/etc")], {}, "refused, nothing was unpacked"),
        ([link("out", "../..")], {}, "refused, nothing was unpacked"),
        ([link("in", "."), link("up", "in/in/..")], {}, "refused, nothing was unpacked"),
        ([link("up", "in/.."), link("in", ".")], {}, "refused, nothing was unpacked"),
        ([link("hard", "absent", tarfile.LNKTYPE)], {}, "no earlier file"),
        ([link("hard", "/etc/hostname", tarfile.LNKTYPE)], {}, "refused, nothing was unpacked"),
        ([link("hard", "../../outside", tarfile.LNKTYPE)], {}, "refused, nothing was unpacked"),
        ([link("here", ".")], {"here/evil": b"evil"}, "through a link"),
        ([link("file", "target")], {"file": b"evil"}, "through a link"),
        ([link("device", "", tarfile.CHRTYPE)], {}, "is a device"),
        ([link("pipe", "", tarfile.FIFOTYPE)], {}, "is a device"),
    ],
)
def test_tar_members_that_are_no_plain_files_are_refused(
    tmp_path: Path, data: Path, special: list[tarfile.TarInfo], files: dict[str, bytes], message: str
) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", files, *special)

    assert_refused(archive, data, message)


def test_links_inside_a_tar_are_fine(tmp_path: Path, data: Path) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", {"b/photo": PHOTO}, link("a/photo", "../b/photo"))

    unpack(archive, data, replace=False)

    assert (data / "a" / "photo").read_bytes() == PHOTO


def test_a_zip_with_a_wrong_byte_is_damaged(tmp_path: Path, data: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", FILES, zipfile.ZIP_STORED)
    raw = bytearray(archive.read_bytes())
    raw[raw.index(PHOTO) + 1000] ^= 1
    archive.write_bytes(raw)

    assert_refused(archive, data, r"damaged \(Bad CRC-32.*--force")


def test_a_gzip_with_a_wrong_checksum_at_its_end_is_damaged(tmp_path: Path, data: Path) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", FILES)
    raw = bytearray(archive.read_bytes())
    raw[-6] ^= 1
    archive.write_bytes(raw)

    assert_refused(archive, data, "damaged .*CRC")


@pytest.mark.parametrize("make", [write_zip, write_tar])
def test_an_archive_cut_short_is_damaged(tmp_path: Path, data: Path, make: object) -> None:
    archive = make(tmp_path / "archive", FILES)  # type: ignore[operator]
    archive.write_bytes(archive.read_bytes()[: -len(PHOTO) // 2])

    assert_refused(archive, data, "damaged|neither a zip nor a tar")


def test_a_web_page_under_the_name_of_an_archive_is_told_apart(tmp_path: Path, data: Path) -> None:
    archive = tmp_path / "grozi.zip"
    archive.write_text("<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title>")

    assert_refused(archive, data, "is a web page and no archive")


def test_a_missing_archive_is_named(tmp_path: Path, data: Path) -> None:
    assert_refused(tmp_path / "absent.zip", data, "cannot be read")


@pytest.mark.parametrize("make", [write_zip, write_tar])
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, data: Path, make: object) -> None:
    archive = make(tmp_path / "archive", {"zeros": bytes(5_000_000)})  # type: ignore[operator]

    assert_refused(archive, data, "unpack to more than", Limits(growth=20, free_bytes=1_000_000))


@pytest.mark.parametrize("make", [write_zip, write_tar])
def test_an_archive_with_too_many_members_is_refused(tmp_path: Path, data: Path, make: object) -> None:
    archive = make(tmp_path / "archive", {str(i): b"" for i in range(11)})  # type: ignore[operator]

    assert_refused(archive, data, "10 files", Limits(members=10))


def test_a_zip_that_lies_about_a_size_writes_no_more_than_it_says(tmp_path: Path, data: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"zeros": bytes(1_000_000)})
    raw = bytearray(archive.read_bytes())
    central = raw.index(b"PK\x01\x02")
    struct.pack_into("<I", raw, central + 24, 10)  # uncompressed size in the directory
    archive.write_bytes(raw)

    assert_refused(archive, data, "damaged")


def test_an_encrypted_zip_is_named(tmp_path: Path, data: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"secret": b"secret"})
    raw = bytearray(archive.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(raw)

    assert_refused(archive, data, "is encrypted")


class InterruptedHalfWay(Narrator):
    """Stands for a person who presses Ctrl-C while an archive is being unpacked."""

    @contextmanager
    def bar(self, label: str) -> Iterator[Report]:
        def report(done: int, total: int | None) -> None:
            if total and done > total / 2:
                raise KeyboardInterrupt

        yield report


@pytest.mark.parametrize("make", [write_zip, write_tar])
def test_an_interruption_leaves_nothing_half(tmp_path: Path, data: Path, make: object) -> None:
    archive = make(tmp_path / "archive", {"a": PHOTO, "b": PHOTO[::-1], "c": PHOTO[1:]})  # type: ignore[operator]

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, data, replace=False, narrator=InterruptedHalfWay())

    assert_untouched(data)


def test_leftovers_of_a_killed_attempt_do_not_matter(tmp_path: Path, data: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", FILES)
    (data / ".unpack-a.zip").mkdir()
    (data / ".unpack-a.zip" / "half").write_bytes(b"half")

    unpack(archive, data, replace=False)

    assert contents(data) == {**FILES, "mine.txt": b"mine"}


@pytest.mark.parametrize(("make", "message"), [(write_zip, "not enough room"), (write_tar, "the disk is full")])
def test_a_disk_too_small_for_the_content_stays_as_it_was(tmp_path: Path, make: object, message: str) -> None:
    archive = make(tmp_path / "archive", {str(i): PHOTO for i in range(5)})  # type: ignore[operator]

    with mounted_small_disk(tmp_path / "disk") as disk:
        with pytest.raises(DownloadError, match=message):
            unpack(archive, disk, replace=False)
        assert list(disk.iterdir()) == []
