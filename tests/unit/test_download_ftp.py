"""Transfers from a real FTP server on this machine, which breaks off and changes its mind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler
from pyftpdlib.servers import FTPServer

from os2d.download.transfer import address_of, fetch_file
from os2d.errors import DownloadError, DownloadInterruptedError
from tests.unit.transfers import AT_ONCE, CONTENT, names_in


class _CuttingData(DTPHandler):
    """Closes the data connection after so many bytes, once."""

    cut_after = 0

    def send(self, data: bytes) -> int:
        cut = type(self).cut_after
        if cut and self.tot_bytes_sent >= cut:
            type(self).cut_after = 0
            self.close()
            return 0
        return int(super().send(data[: cut or None]))


class _Control(FTPHandler):
    dtp_handler = _CuttingData
    use_sendfile = False  # so that every byte passes through the handler above
    restarts: list[int] = []  # noqa: RUF012 - shared by all connections on purpose

    knows_restart = True

    def ftp_REST(self, line: str) -> None:
        if not self.knows_restart:
            self.respond("502 not understood")
            return
        self.restarts.append(int(line))
        super().ftp_REST(line)


@pytest.fixture(scope="module")
def ftp_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ftp")


@pytest.fixture(scope="module")
def ftp_url(ftp_folder: Path) -> Iterator[str]:
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(str(ftp_folder))
    _Control.authorizer = authorizer
    server = FTPServer(("127.0.0.1", 0), _Control)
    thread = threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.02, "handle_exit": False}, daemon=True)
    thread.start()
    yield f"ftp://127.0.0.1:{server.address[1]}"
    server.close_all()
    thread.join(timeout=5)


@pytest.fixture
def ftp_file(ftp_folder: Path) -> Path:
    _Control.restarts.clear()
    file = ftp_folder / "local" / "file.mat"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(CONTENT)
    os.utime(file, (1_600_000_000, 1_600_000_000))
    return file


@pytest.mark.usefixtures("ftp_file")
def test_ftp_brings_a_file_whole(ftp_url: str, tmp_path: Path) -> None:
    fetch_file(address_of(f"{ftp_url}/local/file.mat"), tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert _Control.restarts == []


@pytest.mark.usefixtures("ftp_file")
def test_ftp_continues_where_it_broke_off(ftp_url: str, tmp_path: Path) -> None:
    _CuttingData.cut_after = 100_000

    fetch_file(address_of(f"{ftp_url}/local/file.mat"), tmp_path / "file", pauses_seconds=AT_ONCE)

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert 0 < _Control.restarts[0] < len(CONTENT)


@pytest.mark.usefixtures("ftp_file")
def test_ftp_without_restart_begins_anew(ftp_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Control, "knows_restart", False)
    _CuttingData.cut_after = 100_000

    fetch_file(address_of(f"{ftp_url}/local/file.mat"), tmp_path / "file", pauses_seconds=AT_ONCE)

    assert (tmp_path / "file").read_bytes() == CONTENT


def test_ftp_starts_anew_when_the_file_has_changed(ftp_url: str, ftp_file: Path, tmp_path: Path) -> None:
    _CuttingData.cut_after = 100_000
    with pytest.raises(DownloadInterruptedError):
        fetch_file(address_of(f"{ftp_url}/local/file.mat"), tmp_path / "file", pauses_seconds=())
    ftp_file.write_bytes(CONTENT[::-1])  # of the same size

    fetch_file(address_of(f"{ftp_url}/local/file.mat"), tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT[::-1]
    assert _Control.restarts == []


def test_ftp_names_a_missing_file(ftp_url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="550"):
        fetch_file(address_of(f"{ftp_url}/local/absent"), tmp_path / "file")
    assert names_in(tmp_path) == []


def test_ftp_without_a_server_is_an_interruption(tmp_path: Path) -> None:
    with pytest.raises(DownloadInterruptedError, match="refused"):
        fetch_file(address_of("ftp://127.0.0.1:9/file"), tmp_path / "file", pauses_seconds=AT_ONCE)
