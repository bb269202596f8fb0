import subprocess
import sys
from pathlib import Path

import pytest

from os2d.config import default_config
from os2d.config_check import check_evaluation
from os2d.data.annotation import read_annotation
from os2d.data.catalog import data_root, dataset_names, find_dataset, is_known
from os2d.errors import ConfigError, DataError


@pytest.fixture
def custom(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / "classes" / "images").mkdir(parents=True)
    (folder / "src" / "640").mkdir(parents=True)
    (folder / "classes" / "boxes.csv").touch()
    return folder


def test_grozi_is_where_the_published_program_expects_it(tmp_path: Path) -> None:
    (tmp_path / "grozi").mkdir()
    source = find_dataset("Grozi-Val-New-CL", tmp_path)
    assert source.annotation == tmp_path / "grozi/classes/grozi.csv"
    assert source.class_images == tmp_path / "grozi/classes/images"
    assert source.images == tmp_path / "grozi/src/3264"
    assert (source.name, source.nominal_size) == ("grozi-val-new-cl", 3264)


def test_a_custom_folder_tells_its_own_size_and_name(custom: Path) -> None:
    source = find_dataset(f"custom:{custom}", Path("unused"))
    assert (source.name, source.nominal_size, source.splits) == ("mine", 640, ())
    assert source.annotation == custom / "classes/boxes.csv"


def test_a_custom_split_is_part_of_the_name(custom: Path) -> None:
    source = find_dataset(f"custom:{custom}#val", Path("unused"))
    assert (source.name, source.splits) == ("mine-val", ("val",))


def test_a_folder_may_have_a_hash_in_its_name(custom: Path) -> None:
    renamed = custom.rename(custom.parent / "set#2")
    assert find_dataset(f"custom:{renamed}", Path("unused")).name == "set#2"


def test_the_last_hash_starts_the_split(custom: Path) -> None:
    renamed = custom.rename(custom.parent / "set#2")
    source = find_dataset(f"custom:{renamed}#val", Path("unused"))
    assert (source.name, source.splits) == ("set#2-val", ("val",))


def test_a_hash_without_a_split_is_refused(custom: Path) -> None:
    with pytest.raises(DataError, match="no split after '#'"):
        find_dataset(f"custom:{custom}#", Path("unused"))


def test_two_tables_in_a_custom_folder_are_refused(custom: Path) -> None:
    (custom / "classes" / "more.csv").touch()
    with pytest.raises(DataError, match=r"expected exactly one \.csv file, found boxes\.csv, more\.csv"):
        find_dataset(f"custom:{custom}", Path("unused"))


def test_a_custom_folder_needs_one_folder_named_by_the_image_size(custom: Path) -> None:
    (custom / "src" / "640").rename(custom / "src" / "large")
    with pytest.raises(DataError, match="expected one folder whose name is the nominal image size"):
        find_dataset(f"custom:{custom}", Path("unused"))


def test_a_missing_custom_folder_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder: .*nowhere; the layout is custom:FOLDER"):
        find_dataset(f"custom:{tmp_path / 'nowhere'}", tmp_path)


def test_a_missing_data_set_names_the_key_and_the_variable(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder: .*grozi; .*runtime\.data_root .*ONESHOT_DATA"):
        find_dataset("grozi-train", tmp_path)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("grozi-train", "oneshot data fetch grozi"),
        ("instre-s1-train", "oneshot data fetch instre"),
        ("imagenet-repmet-test-episode-3", "oneshot data fetch repmet-episodes"),
        ("imagenet-repmet-val-5000", r"register at image-net\.org"),
    ],
)
def test_a_missing_data_set_says_how_to_get_it(tmp_path: Path, name: str, steps: str) -> None:
    with pytest.raises(DataError, match=rf"{name}.*no such folder: .*; to get it: {steps}.*ONESHOT_DATA"):
        find_dataset(name, tmp_path)


def test_a_missing_table_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "dairy").mkdir()
    with pytest.raises(DataError, match=r"dairy\.csv: no such annotation file; to get it: oneshot data fetch retail"):
        read_annotation(find_dataset("dairy", tmp_path))


@pytest.mark.parametrize("name", ["Imagenet-RepMet-Test-Episode-499", "imagenet-repmet-val-5000", "INSTRE-S2-test"])
def test_names_with_numbers_are_known_in_any_case(name: str) -> None:
    assert is_known(name)


@pytest.mark.parametrize(
    "name",
    ["imagenet-repmet-test-episode-", "imagenet-repmet-val-0", "imagenet-repmet-test-episode-٣", "instre-s3-val"],
)
def test_names_that_nearly_are_one_are_unknown(tmp_path: Path, name: str) -> None:
    assert not is_known(name)
    with pytest.raises(DataError, match="unknown data set"):
        find_dataset(name, tmp_path)


@pytest.mark.parametrize("name", ["imagenet-repmet-train", "ImageNet-RepMet-val-5000"])
def test_sets_for_a_detector_cannot_be_planned_for_os2d(name: str) -> None:
    config = default_config()
    config.eval.dataset_names = [name]
    with pytest.raises(ConfigError, match=f"data set '{name}': has boxes but no class images"):
        check_evaluation(config)


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        find_dataset("grocery", tmp_path)
    assert all(name in str(error.value) for name in dataset_names())


def test_the_data_root_is_the_key_then_the_variable_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = default_config()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONESHOT_DATA", raising=False)
    assert data_root(config) == tmp_path / "data"
    monkeypatch.setenv("ONESHOT_DATA", "/variable")
    assert data_root(config) == Path("/variable")
    config.runtime.data_root = "/key"
    assert data_root(config) == Path("/key")


def test_planning_does_not_load_torch_or_pandas() -> None:
    code = (
        "import sys, os2d.data.catalog, os2d.data.annotation, os2d.data.fingerprint; "
        "print(sorted({'torch', 'pandas', 'ray', 'mlflow', 'submitit'} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
