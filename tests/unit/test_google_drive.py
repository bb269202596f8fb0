"""The commands against a stand-in for Google Drive: a proxy on this machine that speaks TLS under Drive's names."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from os2d.download.fetch import Request, State, fetch_model, model_state
from os2d.errors import DownloadError
from tests.unit.transfers import model

HOSTS = ("drive.google.com", "drive.usercontent.google.com")
WEIGHTS = b"\x80\x02weights" * 1000
SECOND_ID = "1" * 33
FOLDER_PAGE = (
    "<!DOCTYPE html><html><head><title>OneNet</title></head><body>"
    '<a href="https://drive.google.com/file/d/{file}/view?usp=drive_web"><div>R18_dcn.pth</div></a>'
    '<a href="https://drive.google.com/drive/folders/{folder}"><div>pretrained</div></a></body></html>'
)
INNER_PAGE = (
    "<!DOCTYPE html><html><head><title>pretrained</title></head><body>"
    f'<a href="https://drive.google.com/file/d/{SECOND_ID}/view"><div>r18.pkl</div></a></body></html>'
)
WARNING = (
    "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>"
    '<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">'
    '<input type="hidden" name="id" value="{id}"><input type="hidden" name="confirm" value="t"></form></body></html>'
)


class Drive(ThreadingHTTPServer):
    """Answers ``CONNECT`` and then plays Drive inside the tunnel."""

    daemon_threads = True

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)
        self.asked: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client may close a tunnel at any time."""


class _Handler(BaseHTTPRequestHandler):
    server: Drive

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        with self.server.tls.wrap_socket(self.connection, server_side=True) as tunnel:
            _InTunnel(tunnel, self.client_address, self.server)  # type: ignore[arg-type]
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


class _InTunnel(_Handler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked_id = parse_qs(url.query)["id"][0]
        self.server.asked.append(f"{self.headers['Host']}{url.path}")
        if url.path == "/embeddedfolderview":
            is_inner = asked_id == "2" * 33
            self._send("text/html", (INNER_PAGE if is_inner else FOLDER_PAGE).format(file="0" * 33, folder="2" * 33))
        elif url.path == "/uc":
            self._send("text/html; charset=utf-8", WARNING.format(id=asked_id))
        else:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Disposition", 'attachment; filename="weights.pth"')
            self._finish(asked_id.encode() + WEIGHTS)

    def _send(self, content_type: str, page: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self._finish(page.encode())

    def _finish(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for Drive's names, with its key, that only these tests believe."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate of the stand-in, is not on this machine")
    file, key = (tmp_path_factory.mktemp("tls") / name for name in ("certificate.pem", "key.pem"))
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=stand-in", "-addext", f"subjectAltName={names}"]
    subprocess.run([*command, "-keyout", key, "-out", file], check=True, capture_output=True)
    file.write_text(key.read_text() + file.read_text())
    return file


@pytest.fixture
def drive(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drive]:
    """Drive as a user behind a company's proxy reaches it: through the environment alone."""
    with Drive(certificate) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        yield server
        server.shutdown()
        thread.join()


def test_released_weights_come_through_the_warning_about_viruses(drive: Drive, tmp_path: Path) -> None:
    weights = model("os2d_v2-train")

    outcome = fetch_model(weights, tmp_path, Request())

    assert outcome.state is State.FETCHED
    content = (tmp_path / "os2d_v2-train.pth").read_bytes()
    assert content == weights.files[0].google_drive_id.encode() + WEIGHTS
    assert drive.asked == ["drive.google.com/uc", "drive.usercontent.google.com/download"]


def test_a_shared_folder_comes_with_its_folders(drive: Drive, tmp_path: Path) -> None:
    onenet = model("onenet")

    states = [fetch_model(onenet, tmp_path, Request()).state for _ in range(2)]

    assert states == [State.FETCHED, State.COMPLETE]
    assert (tmp_path / "onenet" / "R18_dcn.pth").read_bytes() == b"0" * 33 + WEIGHTS
    assert (tmp_path / "onenet" / "pretrained" / "r18.pkl").read_bytes() == SECOND_ID.encode() + WEIGHTS
    (tmp_path / "onenet" / "R18_dcn.pth").unlink()
    assert model_state(onenet, tmp_path) is State.ABSENT


@pytest.mark.usefixtures("drive")
def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")

    with pytest.raises(DownloadError, match="certificate verify failed") as error:
        fetch_model(model("os2d_v2-train"), tmp_path, Request())

    assert error.value.exit_code == 2
    assert list(tmp_path.glob("*.pth*")) == []
