"""What ran: the commit and the files that differ from it, packages, and the machine."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from orchestration.provenance import PACKAGES, write_provenance


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit of two files and a folder."""
    root = tmp_path / "code"
    (root / "package").mkdir(parents=True)
    (root / "with blank.py").write_text("a = 1\n")
    (root / "package" / "old.py").write_text("some content that git finds again\n" * 9)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def git(root, *arguments):
    command = ["git", "-c", "user.email=a@b", "-c", "user.name=c", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def written(code, tmp_path):
    folder = tmp_path / "attempt"
    folder.mkdir(exist_ok=True)
    write_provenance(folder, code)
    patch = folder / "diff.patch"
    return json.loads((folder / "provenance.json").read_text()), patch.read_text() if patch.exists() else ""


def test_a_clean_repository_is_its_commit(repository, tmp_path):
    record, patch = written(repository / "package", tmp_path)
    assert record["git"] == {"commit": git(repository, "rev-parse", "HEAD"), "changed": [], "root": str(repository)}
    assert patch == ""


def test_files_that_changed_are_named_and_the_difference_is_kept(repository, tmp_path):
    (repository / "with blank.py").write_text("a = 2\n")
    git(repository, "mv", "package/old.py", "package/new.py")
    (repository / "extra.py").write_text("")
    record, patch = written(repository / "package", tmp_path)
    expected = [" M with blank.py", "?? extra.py", "R  package/new.py <- package/old.py"]
    assert sorted(record["git"]["changed"]) == expected
    assert "-a = 1" in patch and "+a = 2" in patch
    assert record["git"]["diff_truncated"] is False


@pytest.mark.parametrize("prepare", [lambda root: None, lambda root: git(root, "init", "-q")])
def test_without_a_commit_there_is_no_git_record(prepare, tmp_path):
    root = tmp_path / "code"
    root.mkdir()
    prepare(root)
    record, patch = written(root, tmp_path)
    assert (record["git"], patch) == ({}, "")


def test_versions_are_those_that_are_installed(tmp_path):
    record, _ = written(tmp_path, tmp_path)
    installed = {name: version(name) for name in PACKAGES if version(name)}
    assert record["packages"] == installed and "numpy" in installed
    assert record["python"] == sys.version.split()[0]
    assert record["platform"] and record["host"] and record["launcher"] in ("local", "slurm", "ray")


def version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
