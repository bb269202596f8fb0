"""``oneshot data fetch`` and ``oneshot models fetch``: what they say, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from os2d.cli.data.fetch import fetch as data_fetch
from os2d.cli.models.fetch import fetch as models_fetch
from os2d.errors import DataError, DownloadError
from tests.unit.file_server import FileServer
from tests.unit.published_archives import GROZI, PHOTO, RETAIL, files_in, zipped


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(archive_server: FileServer) -> FileServer:
    return archive_server


def run_data(*names: str, root: Path, **options: object) -> None:
    given = {"force": False, "source": None, "keep_archive": False, "list_all": False, "as_json": False, **options}
    data_fetch(list(names), data_root=root, **given)  # type: ignore[arg-type]


def exit_code_of(call: object) -> int:
    with pytest.raises(typer.Exit) as caught:
        call()  # type: ignore[operator]
    return caught.value.exit_code


def test_the_command_tells_what_comes_next(server: FileServer, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_data("grozi-train", "dairy", "paste-v", root=root, source=server.url("/"))

    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "grozi: fetched",
        "  next: oneshot data check grozi-train grozi-train-mini grozi-val-old-cl grozi-val-new-cl grozi-val-all "
        f"--data-root {root}",
        "retail: fetched",
        f"  next: oneshot data check dairy paste-v paste-f --data-root {root}",
    ]
    assert files_in(root) == {**GROZI, **RETAIL}


def test_the_command_speaks_json(server: FileServer, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_data("grozi", root=root, source=server.url("/grozi.zip"), as_json=True)

    (report,) = json.loads(capsys.readouterr().out)
    assert (report["name"], report["state"]) == ("grozi", "fetched")
    assert report["files"][0]["size_bytes"] == len(zipped(GROZI))
    assert all(Path(path).exists() for path in report["paths"])


def test_one_failure_does_not_keep_the_others_waiting(
    server: FileServer, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del server.files["/grozi.zip"]

    code = exit_code_of(lambda: run_data("grozi", "dairy", root=root, source=server.url("/")))

    said = capsys.readouterr()
    assert code == 2
    assert "error: grozi: http" in said.err
    assert "404" in said.err
    assert files_in(root) == RETAIL


def test_steps_by_hand_are_printed_and_not_a_success(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(lambda: run_data("imagenet-repmet-train", root=root)) == 2
    assert "ilsvrc2012: by hand: register at image-net.org" in capsys.readouterr().out


def test_unknown_names_are_answered_with_a_near_one(root: Path) -> None:
    with pytest.raises(DataError, match=r"'grosi': did you mean grozi\? `oneshot data fetch --list`"):
        run_data("grosi", root=root)


def test_one_file_for_several_names_is_refused(root: Path) -> None:
    with pytest.raises(DownloadError, match="give one NAME"):
        run_data("grozi", "dairy", root=root, source="grozi.zip")


def test_the_lists_name_everything(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_data(root=root)
    models_fetch(None, folder=tmp_path, force=False, source=None, list_all=True, as_json=False)

    said = capsys.readouterr().out
    for name in ("grozi", "retail", "instre", "repmet-episodes", "ilsvrc2012", "coco2017", "os2d_v2-train", "onenet"):
        assert f"\n{name} " in f"\n{said}"
    assert not list(tmp_path.iterdir()), "looking changes nothing"


def test_weights_of_others_are_to_be_converted(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.serve("/R-50-GN.pkl", PHOTO)

    models_fetch(
        ["models/resnet50_caffe2_groupnorm.pth"],
        folder=tmp_path,
        force=False,
        source=server.url("/"),
        list_all=False,
        as_json=False,
    )

    assert f"next: oneshot models convert {tmp_path / 'R-50-GN.pkl'}" in capsys.readouterr().out
