"""Fetching by name, as the commands do it: from a server on this machine, in the layout of the published archives."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from os2d.download.fetch import Request, State, dataset_state, fetch_dataset, fetch_model, model_state
from os2d.download.receipt import Receipt, receipt_path, write_receipt
from os2d.errors import DownloadError
from tests.unit.file_server import FileServer
from tests.unit.published_archives import GROZI, PHOTO, RETAIL, files_in, zipped
from tests.unit.transfers import dataset, model


@pytest.fixture
def server(archive_server: FileServer) -> FileServer:
    return archive_server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_a_data_set_is_fetched_and_unpacked_once(server: FileServer, root: Path) -> None:
    grozi, request = dataset("grozi-train"), Request(source=server.url("/grozi.zip"))
    assert dataset_state(grozi, root) is State.ABSENT

    first, second = fetch_dataset(grozi, root, request), fetch_dataset(grozi, root, request)

    assert (first.state, second.state) == (State.FETCHED, State.COMPLETE)
    assert files_in(root) == GROZI
    assert len(server.asked) == 1
    assert first.files[0].source == server.url("/grozi.zip")


def test_the_archive_is_kept_on_request(server: FileServer, root: Path) -> None:
    fetch_dataset(dataset("grozi"), root, Request(source=server.url("/grozi.zip"), keep_archive=True))

    assert (root / "grozi.zip").read_bytes() == zipped(GROZI)


def test_the_data_root_may_have_any_name(server: FileServer, tmp_path: Path) -> None:
    fetch_dataset(dataset("dairy"), tmp_path / "photos", Request(source=server.url("/")))

    assert files_in(tmp_path / "photos") == RETAIL


def test_force_fetches_again_and_replaces(server: FileServer, root: Path) -> None:
    grozi, source = dataset("grozi"), server.url("/grozi.zip")
    fetch_dataset(grozi, root, Request(source))
    (root / "grozi/classes/grozi.csv").write_bytes(b"changed")

    outcome = fetch_dataset(grozi, root, Request(source, force=True))

    assert outcome.state is State.FETCHED
    assert files_in(root) == GROZI
    assert len(server.asked) == 2


def test_data_unpacked_by_the_user_count_and_missing_parts_are_added(server: FileServer, root: Path) -> None:
    for name, content in RETAIL.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    assert dataset_state(dataset("paste-v"), root) is State.COMPLETE
    (root / "dairy/classes/dairy.csv").unlink()
    (root / "paste/classes/paste.csv").write_bytes(b"my own boxes")

    outcome = fetch_dataset(dataset("paste-v"), root, Request(source=server.url("/retail_test_sets.zip")))

    assert outcome.state is State.FETCHED
    assert files_in(root) == {**RETAIL, "paste/classes/paste.csv": b"my own boxes"}


def test_an_archive_that_lies_there_is_used_and_stays(server: FileServer, root: Path) -> None:
    root.mkdir()
    (root / "grozi.zip").write_bytes(zipped(GROZI))

    fetch_dataset(dataset("grozi"), root, Request(source=server.url("/grozi.zip")))

    assert files_in(root) == {**GROZI, "grozi.zip": zipped(GROZI)}
    assert server.asked == []


def test_a_login_page_that_was_saved_as_the_archive_is_replaced(server: FileServer, root: Path) -> None:
    root.mkdir()
    (root / "grozi.zip").write_bytes(b"<!DOCTYPE html><html>virus scan warning</html>")

    fetch_dataset(dataset("grozi"), root, Request(source=server.url("/grozi.zip")))

    assert files_in(root) == GROZI


def test_a_copied_archive_is_unpacked_where_it_lies(root: Path, tmp_path: Path) -> None:
    (tmp_path / "copied.zip").write_bytes(zipped(GROZI))

    fetch_dataset(dataset("grozi"), root, Request(source=str(tmp_path / "copied.zip")))

    assert files_in(root) == GROZI
    assert (tmp_path / "copied.zip").exists()


def test_an_unpacking_that_was_killed_does_not_count_as_complete(server: FileServer, root: Path) -> None:
    grozi = dataset("grozi")
    fetch_dataset(grozi, root, Request(source=server.url("/grozi.zip")))
    (root / "grozi/src/3264/0.jpg").unlink()
    write_receipt(receipt_path(root, "grozi"), Receipt(moving=True))  # as it is while files are moved into place
    assert dataset_state(grozi, root) is State.ABSENT

    fetch_dataset(grozi, root, Request(source=server.url("/grozi.zip")))

    assert files_in(root) == GROZI


def test_a_damaged_archive_changes_nothing_and_force_mends_it(server: FileServer, root: Path) -> None:
    served = server.serve("/grozi.zip", zipped(GROZI)[:-1000] + bytes(1000))
    with pytest.raises(DownloadError, match="--force"):
        fetch_dataset(dataset("grozi"), root, Request(source=server.url("/grozi.zip")))
    assert not (root / "grozi").exists()
    served.content = zipped(GROZI)

    fetch_dataset(dataset("grozi"), root, Request(source=server.url("/grozi.zip"), force=True))

    assert files_in(root) == GROZI


def test_a_damaged_newer_archive_leaves_complete_data_complete(server: FileServer, root: Path) -> None:
    fetch_dataset(dataset("grozi"), root, Request(source=server.url("/grozi.zip")))
    server.serve("/grozi.zip", zipped(GROZI)[:-1000] + bytes(1000), etag='"2"')

    with pytest.raises(DownloadError, match="--force"):
        fetch_dataset(dataset("grozi"), root, Request(source=server.url("/grozi.zip"), force=True))

    assert dataset_state(dataset("grozi"), root) is State.COMPLETE
    assert GROZI.items() <= files_in(root).items()


def test_an_archive_fetched_by_an_unfinished_call_is_removed_by_the_next(server: FileServer, root: Path) -> None:
    (root / "grozi/classes/grozi.csv").mkdir(parents=True)  # in the way
    with pytest.raises(DownloadError, match=r"grozi.csv: is a folder"):
        fetch_dataset(dataset("grozi"), root, Request(source=server.url("/grozi.zip")))
    assert dataset_state(dataset("grozi"), root) is State.ABSENT
    assert (root / "grozi.zip").exists()
    (root / "grozi/classes/grozi.csv").rmdir()

    fetch_dataset(dataset("grozi"), root, Request(source=server.url("/grozi.zip")))

    assert files_in(root) == GROZI
    assert len(server.asked) == 1


def test_several_files_come_from_one_folder(server: FileServer, root: Path) -> None:
    photos = {f"INSTRE-{subset}/a/1.jpg": PHOTO for subset in ("S1", "S2", "M")}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in photos.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    server.serve("/mirror/instre.tar.gz", stream.getvalue())
    server.serve("/mirror/gnd_instre.mat", b"mat")

    outcome = fetch_dataset(dataset("instre-s1-val"), root, Request(source=server.url("/mirror/")))

    assert files_in(root / "instre") == {**photos, "gnd_instre.mat": b"mat"}
    assert dataset_state(dataset("instre"), root) is State.COMPLETE
    assert len(outcome.files) == 2


def test_one_file_cannot_stand_for_several(server: FileServer, root: Path) -> None:
    with pytest.raises(DownloadError, match="there are 2 files to fetch: give a folder"):
        fetch_dataset(dataset("instre"), root, Request(source=server.url("/instre.tar.gz")))


def test_an_archive_with_another_layout_than_expected_is_not_fetched_for_ever(server: FileServer, root: Path) -> None:
    server.serve("/grozi.zip", zipped({"Grozi/other": b"?"}))
    request = Request(source=server.url("/grozi.zip"))

    states = [fetch_dataset(dataset("grozi"), root, request).state for _ in range(2)]

    assert states == [State.FETCHED, State.COMPLETE]


def test_data_sets_without_an_address_are_by_hand_until_they_are_there(root: Path) -> None:
    ilsvrc = dataset("ilsvrc2012")
    assert fetch_dataset(ilsvrc, root, Request()).state is State.BY_HAND
    for path in ("Data/CLS-LOC", "Annotations/CLS-LOC"):
        (root / "ImageNet-RepMet/ILSVRC" / path).mkdir(parents=True)

    assert fetch_dataset(ilsvrc, root, Request()).state is State.COMPLETE


def test_weights_land_where_commands_look_for_them(server: FileServer, tmp_path: Path) -> None:
    server.serve("/os2d_v2-train.pth", PHOTO)
    weights, folder = model("os2d_v2-train"), tmp_path / "models"

    first = fetch_model(weights, folder, Request(source=server.url("/os2d_v2-train.pth")))
    second = fetch_model(weights, folder, Request(source=server.url("/os2d_v2-train.pth")))

    assert (first.state, second.state) == (State.FETCHED, State.COMPLETE)
    assert files_in(folder) == {"os2d_v2-train.pth": PHOTO}


def test_weights_that_are_a_web_page_do_not_count(server: FileServer, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "os2d_v2-train.pth").write_bytes(b"<html>quota</html>")
    assert model_state(model("os2d_v2-train"), folder) is State.ABSENT
    server.serve("/weights", PHOTO)

    fetch_model(model("os2d_v2-train"), folder, Request(source=server.url("/weights")))

    assert files_in(folder) == {"os2d_v2-train.pth": PHOTO}


def test_published_checksums_are_verified(server: FileServer, tmp_path: Path) -> None:
    server.serve("/resnet", PHOTO)

    with pytest.raises(DownloadError, match=r"published is 19c8e357"):
        fetch_model(model("resnet50-torchvision"), tmp_path, Request(source=server.url("/resnet")))

    assert files_in(tmp_path) == {}


def test_weights_with_a_configuration_bring_both(server: FileServer, tmp_path: Path) -> None:
    server.serve("/e2e_mask_rcnn_R_50_FPN_1x.pth", PHOTO)
    server.serve("/e2e_mask_rcnn_R_50_FPN_1x.yaml", b"MODEL: 1", content_type="text/plain")

    fetch_model(model("maskrcnn-r50"), tmp_path / "models", Request(source=server.url("/")))

    assert set(files_in(tmp_path / "models/maskrcnn-benchmark")) == {
        "e2e_mask_rcnn_R_50_FPN_1x.pth",
        "e2e_mask_rcnn_R_50_FPN_1x.yaml",
    }


def test_a_folder_on_drive_has_no_other_source(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="is a folder on Google Drive"):
        fetch_model(model("onenet"), tmp_path, Request(source=str(tmp_path)))


def test_drive_out_of_reach_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    for entry in (model("os2d_v2-init"), model("onenet")):
        with pytest.raises(DownloadError, match=r"refused(.|\n)*by hand: open https://drive.google.com/") as error:
            fetch_model(entry, tmp_path, Request(pauses_seconds=()))
        assert error.value.exit_code == 75


FETCH_GROZI = """
import sys
from pathlib import Path
from rich.console import Console
from os2d.download.fetch import Request, fetch_dataset
from os2d.download.progress import Narrator
from os2d.download.how_to_get import find_dataset_download
request = Request(source=sys.argv[2], narrator=Narrator(Console(stderr=True)))
print(fetch_dataset(find_dataset_download("grozi"), Path(sys.argv[1]), request).state)
"""


def test_two_processes_fetch_only_once(server: FileServer, root: Path) -> None:
    server.files["/grozi.zip"] = replace(server.files["/grozi.zip"], seconds_per_chunk=0.1)
    command = [sys.executable, "-c", FETCH_GROZI, str(root), server.url("/grozi.zip")]

    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(out for out, _ in said) == ["complete\n", "fetched\n"]
    assert sum("another process is fetching it" in err for _, err in said) == 1
    assert len(server.asked) == 1
    assert files_in(root) == GROZI


def test_ctrl_c_keeps_what_came_and_the_same_command_continues(server: FileServer, root: Path) -> None:
    server.files["/grozi.zip"] = replace(server.files["/grozi.zip"], seconds_per_chunk=0.2)
    command = [sys.executable, "-m", "orchestration.cli", "data", "fetch", "grozi", "--data-root", str(root)]
    process = subprocess.Popen(
        [*command, "--from", server.url("/grozi.zip")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    part = root / "grozi.zip.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 20_000) and time.monotonic() < deadline:
        time.sleep(0.02)

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 130, said
    assert "interrupted; what has come is kept" in said
    kept = part.stat().st_size
    assert 20_000 < kept < len(zipped(GROZI))
    server.files["/grozi.zip"].seconds_per_chunk = 0
    fetch_dataset(dataset("grozi"), root, Request(source=server.url("/grozi.zip")))
    assert server.asked[-1].range == f"bytes={kept}-"
    assert files_in(root) == GROZI
