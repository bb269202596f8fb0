"""A port for a server of a test."""

import socket


def free_port() -> int:
    """Return a port of this machine at which nobody listened a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
