"""Transfers from real servers on this machine, which break off, lie and change their minds."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from os2d.download import over_http
from os2d.download.progress import Narrator
from os2d.download.transfer import address_of, fetch_file
from os2d.errors import DownloadError, DownloadInterruptedError
from tests.unit.file_server import FileServer
from tests.unit.small_disk import mounted_small_disk
from tests.unit.transfers import AT_ONCE, CONTENT, names_in, ranges

NEW_CONTENT = random.Random(8).randbytes(280_000)


def fetch(server: FileServer, target: Path, **options: object) -> str:
    options = {"pauses_seconds": AT_ONCE, **options}
    return fetch_file(address_of(server.url("/file")), target, **options)  # type: ignore[arg-type]


def test_a_file_comes_whole_and_leaves_nothing_else(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT)

    sha256 = fetch(server, tmp_path / "new" / "file")

    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert names_in(tmp_path / "new") == ["file"]


def test_a_connection_cut_half_way_continues_where_it_broke_off(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT, cut_after=[200_000])

    fetch(server, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=200000-"]
    assert server.asked[1].if_range == '"1"'


def test_attempts_are_counted_anew_as_long_as_bytes_come(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT, cut_after=[60_000] * 4)

    fetch(server, tmp_path / "file", pauses_seconds=(0.0,))

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(server.asked) == 5


def test_a_transfer_given_up_is_continued_by_the_next_call(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT, cut_after=[100_000, 0])
    with pytest.raises(DownloadInterruptedError, match="100000 bytes are kept") as error:
        fetch(server, tmp_path / "file", pauses_seconds=(0.0,))
    assert error.value.exit_code == 75
    assert not (tmp_path / "file").exists()

    fetch(server, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server)[-1] == "bytes=100000-"


@pytest.mark.parametrize("minds_if_range", [True, False])
def test_another_version_on_the_server_is_fetched_from_the_start(
    server: FileServer, tmp_path: Path, minds_if_range: bool
) -> None:
    served = server.serve("/file", CONTENT, cut_after=[100_000], minds_if_range=minds_if_range)
    with pytest.raises(DownloadInterruptedError):
        fetch(server, tmp_path / "file", pauses_seconds=())
    served.content, served.etag = NEW_CONTENT, '"2"'

    fetch(server, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == NEW_CONTENT


def test_without_any_version_the_size_tells(server: FileServer, tmp_path: Path) -> None:
    served = server.serve("/file", CONTENT, etag="", cut_after=[100_000, 100_000])
    for _ in range(2):
        with pytest.raises(DownloadInterruptedError):
            fetch(server, tmp_path / "file", pauses_seconds=())
    assert ranges(server) == [None, "bytes=100000-"]
    served.content = NEW_CONTENT

    fetch(server, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == NEW_CONTENT


def test_a_server_without_ranges_is_asked_again_from_the_start(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT, knows_ranges=False, cut_after=[100_000])

    fetch(server, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT


def test_bytes_of_another_address_are_not_continued(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT, cut_after=[100_000])
    server.serve("/mirror", NEW_CONTENT)
    with pytest.raises(DownloadInterruptedError):
        fetch(server, tmp_path / "file", pauses_seconds=())

    fetch_file(address_of(server.url("/mirror")), tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == NEW_CONTENT


def test_all_bytes_there_but_not_yet_named_need_no_transfer(server: FileServer, tmp_path: Path) -> None:
    served = server.serve("/file", CONTENT, announced=len(CONTENT) + 1)  # keeps the first call from ending well
    with pytest.raises(DownloadInterruptedError):
        fetch(server, tmp_path / "file", pauses_seconds=())
    served.announced = None
    note = tmp_path / "file.part.json"
    note.write_text(note.read_text().replace(str(len(CONTENT) + 1), str(len(CONTENT))))

    fetch(server, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={len(CONTENT)}-"]


def test_fewer_bytes_than_announced_are_no_file(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT, announced=len(CONTENT) + 5)

    with pytest.raises(DownloadInterruptedError):
        fetch(server, tmp_path / "file")

    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_refusal_is_reported_at_once_and_leaves_nothing(server: FileServer, tmp_path: Path, status: int) -> None:
    server.serve("/file", CONTENT, statuses=[status])

    with pytest.raises(DownloadError, match=f"{status}.*") as error:
        fetch(server, tmp_path / "file")

    assert error.value.exit_code == 2
    assert "--from" in str(error.value)
    assert len(server.asked) == 1
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_busy_server_is_asked_again(server: FileServer, tmp_path: Path, status: int) -> None:
    server.serve("/file", CONTENT, statuses=[status, status])

    fetch(server, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT


def test_nobody_listening_is_an_interruption(tmp_path: Path) -> None:
    with pytest.raises(DownloadInterruptedError, match="refused"):
        fetch_file(address_of("http://127.0.0.1:9/file"), tmp_path / "file", pauses_seconds=AT_ONCE)
    assert names_in(tmp_path) == []


def test_a_silent_server_is_given_up(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_http, "READ_SECONDS", 0.2)
    server.serve("/file", CONTENT, seconds_per_chunk=1.0)

    with pytest.raises(DownloadInterruptedError, match="16384 bytes are kept"):
        fetch(server, tmp_path / "file", pauses_seconds=())


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_instead_of_the_file_is_named_and_not_kept(
    server: FileServer, tmp_path: Path, content_type: str
) -> None:
    page = b"\n<!DOCTYPE html><html><head><title>Sign in &amp; wait</title></head></html>"
    server.serve("/file", page, content_type=content_type)

    with pytest.raises(DownloadError, match="web page"):
        fetch(server, tmp_path / "file")

    assert names_in(tmp_path) == []


def test_a_web_page_is_named_by_its_title(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", b"<html><title>Quota\n exceeded &amp; more</title></html>", content_type="text/html")

    with pytest.raises(DownloadError, match="titled 'Quota exceeded & more'"):
        fetch(server, tmp_path / "file")


def test_an_empty_file_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", b"")

    with pytest.raises(DownloadError, match="empty"):
        fetch(server, tmp_path / "file")

    assert names_in(tmp_path) == []


def test_a_wrong_checksum_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT)

    with pytest.raises(DownloadError, match="published is 00000000"):
        fetch(server, tmp_path / "file", sha256_prefix="00000000")

    assert names_in(tmp_path) == []


def test_an_existing_file_stays_until_the_new_one_is_complete(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    server.serve("/file", CONTENT, cut_after=[1000])
    with pytest.raises(DownloadInterruptedError):
        fetch(server, tmp_path / "file", pauses_seconds=())
    assert (tmp_path / "file").read_bytes() == b"old"

    fetch(server, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_file_of_unknown_size_comes_whole(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT, tells_size=False)

    fetch(server, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_compressed_answer_is_unpacked_and_never_continued(server: FileServer, tmp_path: Path) -> None:
    squeezed = gzip.compress(CONTENT)
    server.serve("/file", squeezed, headers={"Content-Encoding": "gzip"}, cut_after=[100_000])

    fetch(server, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT


def test_room_on_the_disk_is_checked_before_anything_is_written(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT, announced=10**15)

    with pytest.raises(DownloadError, match=r"not enough room for file: 1000.0 TB are still to come"):
        fetch(server, tmp_path / "file")

    assert names_in(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_small_disk(tmp_path / "disk") as disk:
        yield disk


def test_a_full_disk_is_named_and_what_came_is_kept(server: FileServer, small_disk: Path) -> None:
    server.serve("/file", CONTENT, tells_size=False)

    with pytest.raises(DownloadError, match="the disk is full"):
        fetch(server, small_disk / "file")

    assert (small_disk / "file.part").stat().st_size > 0


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_local_file_is_copied(tmp_path: Path, form: str) -> None:
    (tmp_path / "a b").write_bytes(CONTENT)

    fetch_file(address_of(form.format(tmp_path / "a b")), tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_a_local_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"absent: cannot be read \(No such file"):
        fetch_file(address_of(str(tmp_path / "absent")), tmp_path / "copy")


def test_an_unknown_kind_of_address_is_refused() -> None:
    with pytest.raises(DownloadError, match="expected a path or an address that begins with http, https or ftp"):
        address_of("gopher://somewhere/file")


def test_passwords_are_sent_but_not_shown(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT)
    address = address_of(server.url("/file").replace("http://", "http://me:secret@"))

    fetch_file(address, tmp_path / "file")

    assert "secret" not in address.text + address.by_hand
    assert server.asked[0].authorization == "Basic bWU6c2VjcmV0"


def test_a_terminal_shows_a_bar_with_bytes_and_speed(server: FileServer, tmp_path: Path) -> None:
    server.serve("/file", CONTENT, seconds_per_chunk=0.02)
    terminal = io.StringIO()

    fetch(server, tmp_path / "file", narrator=Narrator(Console(file=terminal, force_terminal=True, width=100)))

    assert "/300.0 kB" in terminal.getvalue()
    assert "B/s" in terminal.getvalue()
