"""The miniature of the published data: read by the readers of the published data, equal wherever it is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from yacs.config import CfgNode

from baselines.coae.config import default_config as coae_config
from baselines.coae.modeling.model import build_coae
from baselines.coae.modeling.weights import load_init_model as load_coae
from baselines.detector_retrieval.detector.config import default_config as detector_config
from baselines.detector_retrieval.detector.model import build_detector
from baselines.detector_retrieval.detector.weights import load_init_model as load_detector
from baselines.detector_retrieval.retrieval.network import NetworkDescription, build_network
from baselines.detector_retrieval.retrieval.weights import load_init_model as load_retrieval
from baselines.detector_retrieval.retrieval.weights import load_whitening_layer
from baselines.onenet.data.catalog import find_source
from baselines.onenet.data.coco_file import read_coco
from baselines.onenet.modeling.weights import read_detector_weights
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.errors import DataError
from os2d.miniature.coco import write_coco
from os2d.miniature.imagenet import write_imagenet
from os2d.miniature.instre import write_instre
from os2d.miniature.parameters import MiniatureParameters
from os2d.miniature.store import WRITERS, ensure_miniature
from os2d.miniature.weights import OF_BASELINES, OF_OS2D, WeightsFile, write_file
from os2d.modeling.checkpoint import load_initial_weights
from os2d.modeling.network import build_os2d
from os2d.modeling.weights_file import load_weights
from tests.small_os2d import small_config
from tests.unit.folder_contents import files_below

PARAMETERS = MiniatureParameters(episodes=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("miniature")
    for write in WRITERS:
        write(folder, PARAMETERS)
    return folder


def classes(dataset: DatasetOneShotDetection) -> set[int]:
    return set(dataset.class_ids)


def test_grozi_validates_on_photos_of_seen_and_unseen_classes(root):
    train, old, new = (build_dataset(f"grozi-{split}", root) for split in ("train", "val-old-cl", "val-new-cl"))
    assert old.image_ids == new.image_ids
    assert not set(train.image_ids) & set(new.image_ids)
    assert classes(old) <= classes(train)
    assert len(classes(new)) > 2
    assert not classes(new) & classes(train)


def test_difficult_boxes_of_paste_count_in_paste_f_alone(root):
    rows = {name: build_dataset(name, root).gtboxframe for name in ("paste-v", "paste-f")}
    assert rows["paste-v"].difficult.any()
    assert not rows["paste-f"].difficult.any()
    assert len(rows["paste-v"]) == len(rows["paste-f"])


@pytest.mark.parametrize("name", ["grozi-train", "dairy", "paste-v"])
def test_photos_of_shelves_are_not_empty_and_have_class_images(root, name):
    dataset = build_dataset(name, root)
    assert len(dataset.gtboxframe) > 2 * len(dataset)
    assert all(max(dataset.class_image(class_id).size) == 96 for class_id in dataset.class_ids)


@pytest.mark.parametrize("part", ["instre-s1", "instre-s2"])
def test_the_classes_of_instre_are_shared_out(root, part):
    train, val, test = (build_dataset(f"{part}-{split}", root) for split in ("train", "val", "test"))
    assert [len(classes(dataset)) for dataset in (train, val, test)] == [15, 1, 4]


def test_a_thing_of_instre_s1_is_found_among_two(root):
    rows = build_dataset("instre-s1-train", root).gtboxframe
    pairs = rows[rows.imagefilename.str.startswith("INSTRE-M/")]
    assert len(pairs) == 15
    first, second = (pairs[pairs.imagefilename == pairs.imagefilename.iloc[0]].iloc[k] for k in (0, 1))
    assert first.classid != second.classid
    assert first.rx <= second.lx


def test_the_detector_for_imagenet_never_sees_the_classes_of_the_episodes(root):
    train = build_dataset("imagenet-repmet-train", root)
    assert {int(f"200000{number}") for number in range(5)} == classes(train)
    assert classes(build_dataset("imagenet-repmet-val-6", root)) <= classes(train)


def test_an_episode_searches_five_classes_by_an_example_that_is_not_searched(root):
    episode = build_dataset("imagenet-repmet-test-episode-1", root)
    assert len(classes(episode)) == 5
    assert len(episode) == 5
    examples = {episode.class_image_path(class_id).name for class_id in episode.class_ids}
    assert not any(episode.image_path(i).stem in example for i in episode.image_ids for example in examples)


def test_coco_has_every_category_and_size_in_both_parts(root):
    config = CfgNode({"DATASETS": {"ROOT": str(root), "REGISTERED": []}})
    for name in ("coco_2017_train", "coco_2017_val"):
        data = read_coco(find_source(name, config))
        assert list(data.class_names) == ["carton", "bottle", "can"]
        assert {"small" if area < 32**2 else "large" if area > 96**2 else "medium" for area in data.areas_N} == {
            "small",
            "medium",
            "large",
        }


def test_the_same_parameters_write_the_same_bytes(root, tmp_path):
    for write in (write_instre, write_imagenet, write_coco):
        write(tmp_path, PARAMETERS)
    files = files_below(tmp_path)
    assert len(files) > 300
    assert files.items() <= files_below(root).items()


def written(name: str, folder: Path) -> Path:
    (file,) = (file for file in (*OF_OS2D, *OF_BASELINES) if file.path.name == name)
    write_file(folder / name, file, PARAMETERS)
    return folder / name


def changed_by(load: Callable[[Any], object], network: torch.nn.Module) -> set[str]:
    """Return the names of the weights of a network that have other values after loading."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load(network)
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize(
    "file", [file for file in OF_OS2D if file.parts != OF_OS2D[1].parts], ids=lambda file: file.path.name
)
def test_os2d_starts_from_its_files(file: WeightsFile, tmp_path):
    path = tmp_path / file.path.name
    write_file(path, file, PARAMETERS)
    config = small_config()
    config.model.backbone_arch, config.model.use_group_norm = file.architecture, file.group_norm
    config.model.transform_net.channels = [32, 16]
    config.init.model = str(path)
    if file.path.name.startswith("weakalign"):
        config.init.transform = str(path)
    assert "net_feature_maps.conv1.weight" in changed_by(
        lambda model: load_initial_weights(model, config.init), build_os2d(config)
    )


def test_every_file_has_its_own_weights(tmp_path):
    names = ("resnet50-19c8e357.pth", "e2e_mask_rcnn_R_50_FPN_1x_converted.pth", "resnet50_caffe2_groupnorm.pth")
    first, second, third = (load_weights(written(name, tmp_path))["conv1.weight"] for name in names)
    assert not (first.equal(second) or first.equal(third) or second.equal(third))


def test_a_weights_file_is_the_same_wherever_it_is_written(tmp_path):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    one, other = (written("os2d_v2-init.pth", tmp_path / folder) for folder in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_coae_starts_from_a_whole_resnet(tmp_path):
    config = coae_config()
    config.model.net = "res18"
    path = written("imagenet-caffe-resnet50-features-ac468af-converted.pth", tmp_path)
    changed = changed_by(lambda model: load_coae(model, path), build_coae(config))
    assert {"RCNN_base.0.weight", "RCNN_top.0.0.conv1.weight"} <= changed


@pytest.mark.parametrize("name", ["MSRA-R-50.pkl", "model_best_maskrcnnbenchmark.pth.tar"])
def test_the_detector_starts_from_caffe2_and_from_a_classifier(name, tmp_path):
    config = detector_config()
    config.MODEL.BACKBONE.CONV_BODY = "R-18-FPN"
    config.MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM = 16
    path = written(name, tmp_path)
    changed = changed_by(lambda model: load_detector(model, path), build_detector(config))
    assert {"backbone.body.stem.conv1.weight", "backbone.body.layer4.0.conv1.weight"} <= changed


@pytest.mark.parametrize("name", ["imagenet-caffe-resnet50-features-ac468af.pth", "model_best_cirtorch.pth.tar"])
def test_the_retrieval_network_starts_from_its_files(name, tmp_path):
    network = build_network(NetworkDescription("resnet18", "gem", whitening=True))
    start, whitening = (
        written(name, tmp_path) for name in (name, "retrieval-SfM-120k-resnet101-gem-whiten-22ab0c1.pth")
    )
    assert "features.0.weight" in changed_by(lambda network: load_retrieval(network, start), network)
    assert changed_by(lambda network: load_whitening_layer(network, whitening), network) == {
        "whiten.weight",
        "whiten.bias",
    }


def test_onenet_starts_from_the_names_of_detectron2(tmp_path):
    weights = read_detector_weights(written("R-50.pkl", tmp_path))
    assert "res5.1.conv2.norm.running_var" in weights


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot write the miniature"):
        ensure_miniature(tmp_path / "file" / "data")
