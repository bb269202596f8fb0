"""What keeps a tracking server from being used, asked of real HTTP servers."""

import json
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from orchestration.tracking.server import server_problem
from orchestration.tracking.store_location import StoreAwayError, StoreError, StoreLocation

VARIABLES = ("USERNAME", "PASSWORD", "TOKEN", "AUTH", "AWS_SIGV4", "INSECURE_TLS", "SERVER_CERT_PATH")


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """Nobody's credentials: neither in the environment nor at home."""
    for variable in VARIABLES:
        monkeypatch.delenv(f"MLFLOW_TRACKING_{variable}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def server():
    """One that answers as ``server.answer`` says, or lets in only who brings ``server.wanted``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.server.wanted
            refused = wanted is not None and self.headers.get("Authorization") != wanted
            status, content_type = (401, "text/plain") if refused else self.server.answer
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(json.dumps({"experiments": []}).encode())

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.wanted, listening.answer = None, (200, "application/json")
        Thread(target=listening.serve_forever, daemon=True).start()
        listening.address = f"http://127.0.0.1:{listening.server_port}"
        yield listening
        listening.shutdown()


def test_a_server_that_answers_has_no_problem(server):
    assert server_problem(server.address) is None


@pytest.mark.parametrize(
    ("answer", "what", "may_pass"),
    [
        ((503, "text/plain"), "answers 503", True),
        ((429, "text/plain"), "answers 429", True),
        ((403, "text/plain"), "denies access", False),
        ((404, "text/plain"), "no MLflow server is at this address", False),
        ((200, "text/html"), "no MLflow server is at this address", False),
    ],
)
def test_other_answers_are_told_apart(server, answer, what, may_pass):
    server.answer = answer
    problem = server_problem(server.address)
    assert what in str(problem)
    assert problem.may_pass is may_pass


def test_a_name_and_a_password_are_asked_for(server):
    server.wanted = "Basic x"
    assert "wants to know who asks" in str(server_problem(server.address))
    assert "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in str(server_problem(server.address))


def test_name_and_password_are_told_as_mlflow_does(server, monkeypatch):
    server.wanted = f"Basic {b64encode(b'me:right').decode()}"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    assert "refuses user 'me'" in str(server_problem(server.address))
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "right")
    assert server_problem(server.address) is None


def test_saved_credentials_are_used(server, tmp_path):
    server.wanted = f"Basic {b64encode(b'me:100%').decode()}"
    (tmp_path / ".mlflow").mkdir()
    saved = "[mlflow]\nmlflow_tracking_username = me\nmlflow_tracking_password = 100%\n"
    (tmp_path / ".mlflow" / "credentials").write_text(saved)
    assert server_problem(server.address) is None


def test_a_token_is_told(server, monkeypatch):
    server.wanted = "Bearer right"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "wrong")
    assert "refuses the token" in str(server_problem(server.address))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "right")
    assert server_problem(server.address) is None


def test_what_only_mlflow_can_sign_is_left_to_it(server, monkeypatch):
    server.wanted = "AWS4 x"
    monkeypatch.setenv("MLFLOW_TRACKING_AWS_SIGV4", "true")
    assert server_problem(server.address) is None


def test_a_server_that_is_down_may_come_back(server, tmp_path):
    server.shutdown()
    server.server_close()
    location = StoreLocation.resolve(tmp_path, server.address)
    with pytest.raises(StoreAwayError, match=r"the server does not answer \(Connection refused\)"):
        location.require_usable()


def test_a_server_that_refuses_us_will_not(server, tmp_path):
    server.wanted = "Basic x"
    with pytest.raises(StoreError) as caught:
        StoreLocation.resolve(tmp_path, server.address).require_usable()
    assert not isinstance(caught.value, StoreAwayError)
