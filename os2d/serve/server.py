"""The application in a process of its own, until a signal ends it."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress

from uvicorn import Config, Server

from os2d.detector.find_model import find_model
from os2d.errors import ConfigError
from os2d.serve.app import create_app
from os2d.serve.settings import ServeSettings

logger = logging.getLogger(__name__)

LOOPBACK = {"127.0.0.1", "localhost", "::1"}

SHUTDOWN_SECONDS = 30
"""What running requests get to finish after a signal."""


def run_server(settings: ServeSettings) -> None:
    """Serve until a signal.

    Raises:
        CheckpointError: there is no such network, or it cannot be loaded; so for its other errors.
        ConfigError: the address cannot be listened at.
    """
    find_model(settings.model or None)  # what is missing is said before anything is started
    listener = _listen(settings)
    app = create_app(settings, on_failure=lambda: setattr(server, "should_exit", True))
    config = Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS
    )
    server = Server(config)
    with listener, suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    failure = app.state.service.worker.failure
    if failure is not None:
        raise failure


def _listen(settings: ServeSettings) -> socket.socket:
    is_ipv6 = ":" in settings.host
    address = (settings.host, settings.port)
    try:
        listener = socket.create_server(address, family=socket.AF_INET6 if is_ipv6 else socket.AF_INET, backlog=1024)
    except OSError as e:
        raise ConfigError(f"--host {settings.host} --port {settings.port}: cannot be listened at: {e.strerror}") from e
    shown = f"[{settings.host}]" if is_ipv6 else settings.host
    logger.info("http://%s:%d is the page and the address of the API", shown, listener.getsockname()[1])
    if settings.host not in LOOPBACK and settings.api_key is None:
        logger.warning("everybody who reaches %s may use this server; ONESHOT_SERVE_API_KEY sets a key", settings.host)
    return listener
