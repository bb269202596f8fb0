"""Property tests draw the same examples on every run and on machines of any speed; transfers share a file server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.unit.file_server import FileServer, running_file_server
from tests.unit.published_archives import GROZI, RETAIL, zipped

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="module")
def running_server() -> Iterator[FileServer]:
    with running_file_server() as server:
        yield server


@pytest.fixture
def server(running_server: FileServer) -> FileServer:
    """A file server on this machine that has nothing yet."""
    running_server.files.clear()
    running_server.asked.clear()
    return running_server


@pytest.fixture
def archive_server(server: FileServer) -> FileServer:
    """The file server with archives in the layout of the published ones."""
    server.serve("/grozi.zip", zipped(GROZI))
    server.serve("/retail_test_sets.zip", zipped(RETAIL))
    return server
