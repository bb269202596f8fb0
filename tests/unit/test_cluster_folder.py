"""The folder of a Ray cluster: it stays while any process holds it, and goes when a killed one cannot remove it."""

import os
import signal
import subprocess
import sys

import pytest

from orchestration.launch.ray import cluster_folder

HOLD = """
import sys
from pathlib import Path
from orchestration.launch.ray.cluster_folder import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_folder, "ROOT", tmp_path)
    return cluster_folder.folder_of("abc123")


def hold(folder):
    """Start a process that holds the folder until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_the_last_holder_removes_the_folder(folder):
    other = hold(folder)
    with cluster_folder.held(folder):
        (folder / "session").mkdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "session").is_dir()
    other.communicate("")
    assert other.returncode == 0
    assert not folder.exists()


def test_a_held_folder_is_not_swept_and_that_of_a_killed_process_is(folder, tmp_path):
    process = hold(folder)
    (folder / "session" / "logs").mkdir(parents=True)
    assert cluster_folder.sweep() == []
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / "session" / "logs").is_dir()
    with cluster_folder.held(cluster_folder.folder_of("next")):
        assert [entry.name for entry in tmp_path.iterdir()] == ["oneshot-ray-next"]


def test_only_folders_of_clusters_are_swept(folder, tmp_path):
    ours, file, link = tmp_path / "ours", tmp_path / "oneshot-ray-file", tmp_path / "oneshot-ray-link"
    ours.mkdir()
    file.touch()
    link.symlink_to(ours)
    assert cluster_folder.sweep() == []
    assert ours.is_dir() and file.exists() and link.is_symlink()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to somebody else")
def test_the_folder_of_another_user_stays(folder):
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    assert cluster_folder.sweep() == []
    assert folder.is_dir()
