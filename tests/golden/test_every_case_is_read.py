from pathlib import Path

import pytest
from golden_cases import READ_FILES, SYSTEMS, case_files


def test_the_golden_folder_holds_cases(request: pytest.FixtureRequest) -> None:
    folder: Path = request.config.getoption("--golden").resolve()
    assert case_files(folder), f"no case file in {folder}; expected subfolders {', '.join(SYSTEMS)}"


def test_some_test_reads(case_file: str, request: pytest.FixtureRequest) -> None:
    assert case_file in request.config.stash[READ_FILES], f"no test declares that it reads {case_file}"
