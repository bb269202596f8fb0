"""Access to golden case files, and the rule that none of them goes unread.

A test names the files it opens with ``@pytest.mark.reads("os2d/objective.npz")`` and opens them through the ``golden``
fixture. A file that no collected test names fails the run; so does a test that names a file and does not open it.
"""

from collections.abc import Iterator

import pytest
from golden_cases import READ_FILES, Golden, case_files


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Iterator[Golden]:
    declared = {name for mark in request.node.iter_markers("reads") for name in mark.args}
    opener = Golden(request.config.getoption("--golden").resolve(), declared)
    yield opener
    unread = declared - opener.opened
    assert not unread, f"declared but not opened: {sorted(unread)}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case_file" in metafunc.fixturenames:
        metafunc.parametrize("case_file", case_files(metafunc.config.getoption("--golden").resolve()))


def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    session.config.stash[READ_FILES] = {name for i in items for mark in i.iter_markers("reads") for name in mark.args}
