"""The table of published files and the advice drawn from it."""

from __future__ import annotations

import re

import pytest

from os2d.download.how_to_get import find_dataset_download, find_model_download, how_to_get
from os2d.download.sources import DATASETS, MODELS, RemoteFile

ALL_FILES = [remote for entry in (*DATASETS, *MODELS) for remote in entry.files]


def test_names_are_unique() -> None:
    names = [entry.name for entry in (*DATASETS, *MODELS)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("remote", ALL_FILES, ids=lambda remote: remote.file)
def test_every_file_has_one_address_and_a_place(remote: RemoteFile) -> None:
    assert bool(remote.google_drive_id) != bool(remote.url)
    assert remote.google_drive_id == "" or re.fullmatch(r"[\w-]{33}", remote.google_drive_id)
    assert remote.url == "" or re.match(r"(https?|ftp)://", remote.url)
    assert remote.file.split("/")[0] in ("data", "models")
    assert ".." not in remote.file


@pytest.mark.parametrize("entry", DATASETS, ids=lambda entry: entry.name)
def test_every_data_set_can_be_fetched_or_says_how_it_is_had(entry) -> None:  # type: ignore[no-untyped-def]
    assert bool(entry.files) != bool(entry.manual)
    assert entry.holds
    assert set(entry.needs) <= {other.name for other in DATASETS}


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("grozi", "grozi"),
        ("grozi-val-new-cl", "grozi"),
        ("Grozi-Train-Mini", "grozi"),
        ("dairy", "retail"),
        ("paste-f", "retail"),
        ("instre-all", "instre"),
        ("instre-s1-train", "instre"),
        ("instre-s2-test", "instre"),
        ("imagenet-repmet-test-episode-17", "repmet-episodes"),
        ("imagenet-repmet-train", "ilsvrc2012"),
        ("imagenet-repmet-val-5000", "ilsvrc2012"),
    ],
)
def test_data_sets_are_found_by_every_published_name(name: str, entry: str) -> None:
    found = find_dataset_download(name)
    assert found is not None
    assert found.name == entry


@pytest.mark.parametrize("name", ["grozi-val", "instre-s3-train", "", "shelf-train"])
def test_unknown_data_sets_are_not_found(name: str) -> None:
    assert find_dataset_download(name) is None


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("grozi-val-all", "oneshot data fetch grozi"),
        ("data/instre/gnd_instre.mat", "oneshot data fetch instre"),
        ("models/os2d_v2-train.pth", "oneshot models fetch os2d_v2-train"),
        ("my weights/os2d_v1-train.pth", "oneshot models fetch os2d_v1-train --folder 'my weights'"),
        ("os2d_v1-train.pth", "oneshot models fetch os2d_v1-train"),
        ("/w/maskrcnn-benchmark/e2e_mask_rcnn_R_50_FPN_1x.pth", "oneshot models fetch maskrcnn-r50 --folder /w"),
        (
            "models/imagenet-caffe-resnet50-features-ac468af-renamed.pth",
            "oneshot models fetch resnet50-caffe2, then oneshot models convert "
            "models/imagenet-caffe-resnet50-features-ac468af.pth "
            "--output models/imagenet-caffe-resnet50-features-ac468af-renamed.pth",
        ),
        (
            "models/imagenet-caffe-resnet50-features-ac468af-converted.pth",
            "oneshot models fetch resnet50-caffe2, then oneshot models convert "
            "models/imagenet-caffe-resnet50-features-ac468af.pth",
        ),
        (
            "models/resnet50_caffe2_groupnorm.pth",
            "oneshot models fetch resnet50-groupnorm, then oneshot models convert models/R-50-GN.pkl",
        ),
        ("models/resnet101-5d3b4d8f.pth", "oneshot models fetch resnet101-torchvision"),
    ],
)
def test_advice_is_a_command(path: str, advice: str) -> None:
    assert how_to_get(path) == advice


def test_advice_tells_the_steps_by_hand_and_what_else_is_needed() -> None:
    advice = how_to_get("imagenet-repmet-test-episode-0")
    assert advice is not None
    assert advice.startswith("oneshot data fetch repmet-episodes; and register at image-net.org")
    assert "\n" not in advice


@pytest.mark.parametrize("name", ["model_best_maskrcnnbenchmark.pth.tar", "model_best_cirtorch.pth.tar"])
def test_advice_tells_how_weights_are_made_that_nobody_publishes(name: str) -> None:
    advice = how_to_get(f"data/ImageNet-RepMet/pretrain/output/resnet101/{name}")
    assert advice is not None
    assert "without the 214 test classes of RepMet" in advice


def test_no_advice_about_unknown_things() -> None:
    assert how_to_get("models/own.pth") is None


def test_converted_files_lead_to_their_entry() -> None:
    entry = find_model_download("models/maskrcnn-benchmark/e2e_mask_rcnn_R_50_FPN_1x_converted.pth")
    assert entry is not None
    assert entry.name == "maskrcnn-r50"
