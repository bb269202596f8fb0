"""Whether an MLflow server answers and lets us in, told within seconds and without importing MLflow.

Who asks is told to the server as MLflow's own client does it: ``MLFLOW_TRACKING_USERNAME`` and
``MLFLOW_TRACKING_PASSWORD`` (or the same names in ``~/.mlflow/credentials``), or ``MLFLOW_TRACKING_TOKEN``.
"""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import requests

PROBE_TIMEOUT_SECONDS = 5.0

_PROBE = "/api/2.0/mlflow/experiments/search"
_SET_CREDENTIALS = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


class Problem(NamedTuple):
    """What keeps a store from being used.

    Args:
        what: is wrong.
        advice: what to do about it.
        may_pass: whether waiting can help, as with a server that is down.
    """

    what: str
    advice: str
    may_pass: bool = False

    def __str__(self) -> str:
        return f"{self.what}; {self.advice}"


def server_problem(uri: str) -> Problem | None:
    """Ask the server for one experiment, and return what keeps it from answering; None when nothing does."""
    import requests

    name, password = _name_and_password()
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token and not (name and password) else {}
    try:
        answer = requests.get(
            f"{uri.rstrip('/')}{_PROBE}",
            params={"max_results": "1"},
            headers=headers,
            auth=(name, password) if name and password else None,
            verify=_verification(),
            cert=os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"),
            timeout=PROBE_TIMEOUT_SECONDS,
        )
    except requests.exceptions.SSLError as error:
        advice = "name the certificate of its issuer in MLFLOW_TRACKING_SERVER_CERT_PATH"
        return Problem(f"the certificate of the server is not trusted ({_innermost(error)})", advice)
    except (requests.exceptions.RequestException, OSError) as error:
        advice = "start it (`oneshot dashboard`, or the command your group uses) or name another store"
        return Problem(f"the server does not answer ({_innermost(error)})", advice, may_pass=True)
    return _judge(answer, name if name and password else None, has_token=bool(token))


def _judge(answer: requests.Response, name: str | None, has_token: bool) -> Problem | None:
    told = f"{answer.status_code} {answer.reason}"
    if answer.status_code in (401, 403) and _has_plugin():
        return None  # only MLflow itself can sign the request
    if answer.status_code == 401:
        if name is not None:
            return Problem(f"the server refuses user {name!r} ({told})", "check MLFLOW_TRACKING_PASSWORD and the name")
        if has_token:
            return Problem(f"the server refuses the token ({told})", "check MLFLOW_TRACKING_TOKEN")
        return Problem(f"the server wants to know who asks ({told})", _SET_CREDENTIALS)
    if answer.status_code == 403:
        advice = "ask who runs it for permission; a server behind a tunnel or a proxy is started with --allowed-hosts"
        return Problem(f"the server denies access ({told})", advice)
    if answer.status_code == 429 or answer.status_code >= 500:
        return Problem(f"the server answers {told}", "try again later, or look at its log", may_pass=True)
    if not answer.ok or "json" not in answer.headers.get("Content-Type", ""):
        return Problem(f"no MLflow server is at this address ({told})", "check the address and its path")
    return None


def _name_and_password() -> tuple[str | None, str | None]:
    file = configparser.ConfigParser(interpolation=None)
    file.read(Path("~/.mlflow/credentials").expanduser())
    saved = dict(file["mlflow"]) if file.has_section("mlflow") else {}
    name, password = (
        os.environ.get(f"MLFLOW_TRACKING_{key}") or saved.get(f"mlflow_tracking_{key.lower()}")
        for key in ("USERNAME", "PASSWORD")
    )
    return name, password


def _verification() -> bool | str:
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    return os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True


def _has_plugin() -> bool:
    aws = os.environ.get("MLFLOW_TRACKING_AWS_SIGV4", "").lower() in ("true", "1")
    return aws or bool(os.environ.get("MLFLOW_TRACKING_AUTH"))


def _innermost(error: BaseException) -> str:
    """Return what the operating system said, without the layers that libraries put around it."""
    while True:
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).strip() or type(error).__name__
    return text.rpartition("] ")[2] if "[Errno" in text else text.rpartition(">: ")[2] or text
