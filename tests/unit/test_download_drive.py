"""Transfers of single files from Google Drive, whose pages a server on this machine shows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from os2d.download.google_drive import open_google_drive
from os2d.download.transfer import Address, address_of, fetch_file
from os2d.errors import DownloadError
from tests.unit.file_server import FileServer
from tests.unit.transfers import AT_ONCE, CONTENT, names_in, ranges

CONFIRM = (  # on one line, like Drive's own
    "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>"
    '<form id="download-form" action="{}/download" method="get"><input type="submit" value="Download anyway"/>'
    '<input type="hidden" name="id" value="KEY"><input type="hidden" name="confirm" value="t"></form></body></html>'
)


def drive_address(server: FileServer) -> Address:
    return Address("Google Drive KEY", partial(open_google_drive, "KEY", base=server.url()))


def as_attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def test_drive_gives_small_files_at_once(server: FileServer, tmp_path: Path) -> None:
    server.serve("/uc", CONTENT, headers=as_attachment("grozi.zip"))

    fetch_file(drive_address(server), tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked[0].path == "/uc?id=KEY&export=download"


def test_drive_gives_large_files_behind_its_warning_also_continued(server: FileServer, tmp_path: Path) -> None:
    page = CONFIRM.format(server.url()).encode()
    server.serve("/uc", page, content_type="text/html", headers={"Set-Cookie": "session=42"}, knows_ranges=False)
    server.serve(
        "/download", CONTENT, headers=as_attachment("grozi.zip"), needs_cookie="session=42", cut_after=[100_000]
    )

    fetch_file(drive_address(server), tmp_path / "file", pauses_seconds=AT_ONCE)

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [asked.path for asked in server.asked[:2]] == ["/uc?id=KEY&export=download", "/download?id=KEY&confirm=t"]
    assert ranges(server)[-1] == "bytes=100000-"


def test_drive_says_itself_why_it_gives_nothing(server: FileServer, tmp_path: Path) -> None:
    page = (
        b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>\n"
        b'<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p></body></html>'
    )
    server.serve("/uc", page, content_type="text/html")

    with pytest.raises(DownloadError, match=r"(?s)Quota exceeded.*Too many users"):
        fetch_file(drive_address(server), tmp_path / "file")

    assert names_in(tmp_path) == []


def test_drive_asking_for_a_login_is_told_apart(server: FileServer, tmp_path: Path) -> None:
    page = b"<!doctype html><html><title>Sign in</title></html>"
    server.serve("/uc", page, content_type="text/html")

    with pytest.raises(DownloadError, match=r"Sign in.*Cannot retrieve the public link"):
        fetch_file(drive_address(server), tmp_path / "file")


def test_drive_pages_in_a_circle_come_to_an_end(server: FileServer, tmp_path: Path) -> None:
    page = CONFIRM.format(server.url()).encode()
    server.serve("/uc", page, content_type="text/html")
    server.serve("/download", page, content_type="text/html")

    with pytest.raises(DownloadError, match="again and again"):
        fetch_file(drive_address(server), tmp_path / "file")


@pytest.mark.parametrize(
    "link",
    [
        "https://drive.google.com/open?id=1Fx9lvmjthe3aOqjvKc6MJpMuLF22I1Hp",
        "https://drive.google.com/file/d/1Fx9lvmjthe3aOqjvKc6MJpMuLF22I1Hp/view?usp=sharing",
    ],
)
def test_links_to_drive_are_understood(link: str) -> None:
    address = address_of(link)

    assert address.text == "Google Drive 1Fx9lvmjthe3aOqjvKc6MJpMuLF22I1Hp"
    assert address.by_hand == "https://drive.google.com/open?id=1Fx9lvmjthe3aOqjvKc6MJpMuLF22I1Hp"
