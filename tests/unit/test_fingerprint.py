import json
import os
import shutil
import time
from pathlib import Path

import pytest

import os2d.data.fingerprint as fingerprint_module
from os2d.config import default_config
from os2d.data.dataset import build_dataset
from os2d.data.fingerprint import FileHashes, dataset_fingerprint, file_fingerprint, fingerprints
from os2d.errors import DataError
from os2d.run import MissingInput
from tests.unit.published_layouts import draw_instre, save_ground_truth

TINY = Path(__file__).parents[1] / "data" / "golden" / "os2d" / "tiny_dataset"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint_module, "LONGEST_MEMORY_SECONDS", 0.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "data"))


def test_copies_of_a_data_set_have_the_same_fingerprint(root: Path) -> None:
    assert dataset_fingerprint("grozi-train", root) == dataset_fingerprint("grozi-train", TINY)


@pytest.mark.parametrize("file", ["src/3264/601.png", "classes/images/42.png", "classes/grozi.csv"])
def test_every_file_counts(root: Path, file: str) -> None:
    before = dataset_fingerprint("grozi-train", root)
    with (root / "grozi" / file).open("ab") as stream:
        stream.write(b"\n")
    assert dataset_fingerprint("grozi-train", root) != before


def test_a_missing_image_is_named_with_the_line_that_names_it(root: Path) -> None:
    (root / "grozi/src/3264/602.png").unlink()
    with pytest.raises(DataError, match=r"602\.png: cannot be read: .* \(named by .*grozi\.csv, line 12\)"):
        dataset_fingerprint("grozi-train", root)


def test_a_settled_file_is_read_once(tmp_path: Path) -> None:
    path = Path(shutil.copy2(TINY / "grozi/classes/grozi.csv", tmp_path))
    long_ago_ns = (10**18, 10**18)
    os.utime(path, ns=long_ago_ns)
    digest = file_fingerprint(path)
    known = json.loads((tmp_path / "cache/oneshot-lab/file-hashes.json").read_text())
    assert list(known.values()) == [digest]
    path.write_bytes(b"x" * path.stat().st_size)
    os.utime(path, ns=long_ago_ns)
    assert file_fingerprint(path) == digest


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"one")
    first = file_fingerprint(path)
    path.write_bytes(b"two")
    assert file_fingerprint(path) != first


def test_a_damaged_cache_is_only_slower(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = tmp_path / "hashes.json"
    cache.write_text("{")
    assert len(FileHashes(cache).of(TINY / "grozi/classes/grozi.csv")) == 64
    assert "files are hashed again" in caplog.text


def test_a_cache_that_cannot_be_written_is_only_slower(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cache").touch()
    assert len(file_fingerprint(TINY / "grozi/classes/grozi.csv")) == 64
    assert "cannot remember file hashes" in caplog.text


def test_the_shelf_is_known_without_drawing_it(tmp_path: Path) -> None:
    assert len(dataset_fingerprint("shelf-train", tmp_path / "absent")) == 64
    assert not (tmp_path / "absent").exists()


def test_a_configuration_names_what_it_reads(root: Path) -> None:
    config = default_config()
    config.runtime.data_root = str(root)
    config.init.model = str(root / "grozi/classes/grozi.csv")
    config.eval.dataset_names = ["grozi-val-new-cl", ""]
    assert sorted(fingerprints(config)) == ["grozi-train", "grozi-val-new-cl", "init.model"]
    config.train.do_training = False
    assert sorted(fingerprints(config)) == ["grozi-val-new-cl", "init.model"]


def test_missing_weights_are_named_by_their_key(root: Path) -> None:
    config = default_config()
    config.runtime.data_root = str(root)
    config.init.transform = "nowhere.pth"
    missing = fingerprints(config)["init.transform"]
    assert isinstance(missing, MissingInput)
    assert missing.startswith("init.transform: nowhere.pth: no such weights file; check")
    assert missing.how == "check the path, or what was to write it"


def test_a_known_data_set_that_is_not_there_is_missing_and_an_unknown_one_an_error(tmp_path: Path) -> None:
    missing = dataset_fingerprint("grozi-train", tmp_path)
    assert isinstance(missing, MissingInput)
    assert missing.how.startswith("to get it: oneshot data fetch grozi")
    with pytest.raises(DataError, match="unknown data set 'nothing'"):
        dataset_fingerprint("nothing", tmp_path)


def test_a_sweep_looks_at_the_files_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint_module, "LONGEST_MEMORY_SECONDS", 60.0)
    monkeypatch.setattr(fingerprint_module, "LOOKING_SHARE", 1e-6)
    looked_at = []
    hash_of = FileHashes.of
    monkeypatch.setattr(FileHashes, "of", lambda self, file: looked_at.append(file) or hash_of(self, file))
    found = {dataset_fingerprint("grozi-train", root) for _ in range(100)}
    assert len(found) == 1
    assert len(looked_at) == len(set(looked_at))


def test_a_changed_table_is_noticed_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint_module, "LONGEST_MEMORY_SECONDS", 60.0)
    monkeypatch.setattr(fingerprint_module, "LOOKING_SHARE", 1e-6)
    before = dataset_fingerprint("grozi-train", root)
    with (root / "grozi/classes/grozi.csv").open("a") as table:
        table.write("\n")
    assert dataset_fingerprint("grozi-train", root) != before


def test_a_changed_image_is_noticed_after_a_while(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint_module, "LONGEST_MEMORY_SECONDS", 0.3)
    before = dataset_fingerprint("grozi-train", root)
    with (root / "grozi/src/3264/601.png").open("ab") as image:
        image.write(b"more")
    time.sleep(0.4)
    assert dataset_fingerprint("grozi-train", root) != before


def test_a_converted_set_is_known_by_its_published_files(root: Path) -> None:
    folder = draw_instre(root)
    before = dataset_fingerprint("instre-s1-train", root)
    build_dataset("instre-s1-train", root)
    assert dataset_fingerprint("instre-s1-train", root) == before
    assert dataset_fingerprint("instre-s2-train", root) != before
    save_ground_truth(folder / "gnd_instre.mat", [("INSTRE-S1/01a_tea/001.jpg", [1], [0, 0, 9, 9])], ["x.jpg"])
    assert dataset_fingerprint("instre-s1-train", root) != before


def test_a_converted_table_alone_is_known_by_its_content(root: Path) -> None:
    folder = draw_instre(root)
    build_dataset("instre-all", root)
    (folder / "gnd_instre.mat").unlink()
    before = dataset_fingerprint("instre-all", root)
    with (folder / "INSTRE-S2/07_boat/001.jpg").open("ab") as image:
        image.write(b"more")
    assert dataset_fingerprint("instre-all", root) != before
