"""Options and fixtures shared by every test."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.small_case import draw_small_shelf

if "PYTEST_XDIST_WORKER" in os.environ:
    # One process per core is running already; more threads of torch would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in the background of a script, and the commands that tests start and interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

DEFAULT_GOLDEN = Path(__file__).parent / "data" / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        type=Path,
        default=DEFAULT_GOLDEN,
        metavar="DIR",
        help="folder with golden case files in subfolders os2d, onenet, baselines (default: tests/data/golden)",
    )


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest generated data, drawn once: no test may change it. Its sets are named ``small-...``."""
    return draw_small_shelf(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let torch add up in the order of one thread: that of several is another one."""
    import torch  # heavy, and most tests need none

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real photos that lies beside a developer's checkout; a user's clone has none."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the photo sets are not on this machine ({folder} is absent)")
    return folder
