"""Pairs, mining, weights and command lines of the retrieval network, where the goldens do not look."""

from pathlib import Path
from random import Random

import pytest
import torch

from baselines.detector_retrieval import tasks
from baselines.detector_retrieval.retrieval import prepare_dataset_retrieval, train
from baselines.detector_retrieval.retrieval.crops import Crop, Kind
from baselines.detector_retrieval.retrieval.mining import hardest_negatives
from baselines.detector_retrieval.retrieval.network import NetworkDescription, build_network
from baselines.detector_retrieval.retrieval.pairs import Overlap, evaluation_queries, training_pairs
from baselines.detector_retrieval.retrieval.prepared import read_training_set
from baselines.detector_retrieval.retrieval.weights import checkpoint, load_init_model, load_network
from baselines.detector_retrieval.retrieval.whitening import load_whitening
from os2d.errors import CheckpointError, DataError
from os2d.modeling.conversion.cirtorch import PREFIXES
from os2d.run import MissingInput

OBJECT, RANDOM = Kind.OBJECT, Kind.RANDOM
WHOLE, HALF, BESIDE = (0.0, 0.0, 20.0, 20.0), (0.0, 0.0, 20.0, 10.0), (30.0, 30.0, 50.0, 50.0)


def test_objects_without_a_class_image_are_paired_with_what_shows_them() -> None:
    crops = [
        Crop(OBJECT, 7, WHOLE, 1, 0, False),
        Crop(OBJECT, 7, BESIDE, 1, 1, True),
        Crop(RANDOM, -1, WHOLE, 1, 2, False),
        Crop(RANDOM, -1, HALF, 1, 3, False),
        Crop(RANDOM, -1, WHOLE, 2, 0, False),  # of an image without annotations
    ]
    pairs = training_pairs(crops, [], Overlap(), 0, Random(0))

    assert pairs.positives == [2]
    assert pairs.queries[0] in (0, 1)
    assert pairs.clusters == [7, 7, 7, -1, -1]


def test_a_crop_that_half_shows_an_object_is_neither_its_negative_nor_its_positive() -> None:
    crops = [Crop(OBJECT, 7, WHOLE, 1, 0, False), Crop(RANDOM, -1, HALF, 1, 1, False)]
    classes = [Crop(Kind.CLASS, 7, (0, 0, 9, 9))]
    pairs = training_pairs(crops, classes, Overlap(), 0, Random(0))
    (query,) = evaluation_queries(crops, classes, Overlap(), 0, Random(0))

    assert (pairs.queries, pairs.positives, pairs.clusters) == ([2], [0], [7, 7, 7])
    assert (query.relevance.ok, query.relevance.junk) == ([0], [1])


def test_objects_search_for_each_other_but_not_for_themselves() -> None:
    crops = [Crop(OBJECT, 7, (float(k), 0.0, k + 9.0, 9.0), 1, k, k == 3) for k in range(4)]
    pairs = training_pairs(crops, [], Overlap(), 2, Random(0))
    queries = evaluation_queries(crops, [], Overlap(), 10, Random(0))

    assert pairs.queries == [0, 0, 1, 1, 2, 2]
    assert all(q != p for q, p in zip(pairs.queries, pairs.positives, strict=True))
    assert [sorted(q.relevance.ok) for q in queries] == [[1, 2], [0, 2], [0, 1]]
    assert [sorted(q.relevance.junk) for q in queries] == [[0, 3], [1, 3], [2, 3]]


def test_negatives_equal_a_plain_search() -> None:
    generator = torch.Generator().manual_seed(0)
    query, pool = torch.randn(30, 6, generator=generator), torch.randn(200, 6, generator=generator)
    clusters, own = torch.randint(-1, 12, (200,), generator=generator), torch.randint(0, 20, (30,), generator=generator)
    places, distances = hardest_negatives(query, own, pool, clusters, 4)

    for q in range(30):
        seen, expected = {int(own[q])}, []
        for place in (pool @ query[q]).argsort(descending=True).tolist():
            if int(clusters[place]) not in seen and len(expected) < 4:
                seen.add(int(clusters[place]))
                expected.append(place)
        assert places[q].tolist() == expected
        torch.testing.assert_close(distances[q], (query[q] - pool[expected] + 1e-6).norm(dim=1))


def test_a_pool_of_few_classes_is_refused() -> None:
    with pytest.raises(DataError, match=r"train\.negatives"):
        hardest_negatives(torch.rand(1, 3), torch.tensor([0]), torch.rand(4, 3), torch.tensor([0, 0, 1, 1]), 2)


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "network.pth.tar"
    network = build_network(NetworkDescription("resnet18", whitening=True), torch.Generator().manual_seed(3))
    torch.save(checkpoint(network, epoch=0), path)
    return path


def test_a_checkpoint_builds_its_network(network_file: Path) -> None:
    network = load_network(network_file)
    assert network.whiten is not None
    stored = torch.load(network_file, weights_only=True)["state_dict"]
    torch.testing.assert_close(dict(network.state_dict()), dict(stored))


@pytest.mark.parametrize("layout", ["torchvision", "caffe2", "cirtorch"])
def test_training_starts_from_every_layout(layout: str, network_file: Path, tmp_path: Path) -> None:
    stored = torch.load(network_file, weights_only=True)["state_dict"]
    features = {key: value for key, value in stored.items() if key.startswith("features.")}
    usual = {file: name for name, file in PREFIXES.items()}
    start = {key: next(f for f in usual if key.startswith(f)) for key in features}
    content = {
        "torchvision": {usual[start[k]] + k.removeprefix(start[k]): v for k, v in features.items()},
        "caffe2": {key.removeprefix("features."): value for key, value in features.items()},
        "cirtorch": {"state_dict": features},
    }[layout]
    torch.save(content, tmp_path / "start.pth")
    network = build_network(NetworkDescription("resnet18", whitening=True), torch.Generator().manual_seed(8))
    own = network.whiten.weight.clone() if network.whiten is not None else None
    load_init_model(network, tmp_path / "start.pth")

    torch.testing.assert_close(network.state_dict()["features.7.1.conv2.weight"], features["features.7.1.conv2.weight"])
    assert own is not None
    assert network.whiten is not None
    torch.testing.assert_close(network.whiten.weight, own)


def test_files_that_do_not_fit_name_the_keys(network_file: Path, tmp_path: Path) -> None:
    content = torch.load(network_file, weights_only=True)
    del content["state_dict"]["whiten.bias"]
    torch.save(content, tmp_path / "lacks.pth")
    with pytest.raises(CheckpointError, match=r"whiten\.bias"):
        load_network(tmp_path / "lacks.pth")
    torch.save({"state_dict": content["state_dict"]}, tmp_path / "no_meta.pth")
    with pytest.raises(CheckpointError, match="meta"):
        load_network(tmp_path / "no_meta.pth")
    content["meta"]["regional"] = True
    torch.save(content, tmp_path / "regional.pth")
    with pytest.raises(CheckpointError, match="regional"):
        load_network(tmp_path / "regional.pth")
    with pytest.raises(CheckpointError, match="'ms'"):
        load_whitening(network_file, "ms")


def test_unprepared_data_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="retrieval_prepare"):
        read_training_set(tmp_path, "nothing", "train")
    config = tasks.retrieval_train.default_config()
    config.data.path = str(tmp_path)
    for fingerprint in tasks.retrieval_train.fingerprints(config).values():
        assert isinstance(fingerprint, MissingInput)
        assert fingerprint.startswith("data.path: no such list")
        assert "retrieval_prepare" in fingerprint.how


def test_published_command_lines_are_understood(tmp_path: Path) -> None:
    line = [
        *(str(tmp_path), "--training-dataset", "grozi-train-retrieval-rndCropPerImage10"),
        *("--test-datasets", "a-retrieval,a-retrieval", "--arch", "resnet50", "--pool", "gem", "--whitening"),
        *("--loss-margin", "0.85", "--image-size", "240", "--learning-rate", "1e-06", "--loss", "contrastive"),
        *("--optimizer", "adam", "--weight-decay", "0.0001", "--neg-num", "5", "--query-size", "2000"),
        *("--pool-size", "20000", "--batch-size", "5"),
    ]
    config = train.config_of(train._parser().parse_args(line))
    tasks.retrieval_train.validate(config)
    assert Path(config.output.path).name == (
        "grozi-train-retrieval-rndCropPerImage10_resnet50_gem_whiten_contrastive_m0.85_adam_lr1.0e-06_wd1.0e-04_nnum5_"
        "qsize2000_psize20000_bsize5_imsize240"
    )
    assert config.init.network.endswith("imagenet-caffe-resnet50-features-ac468af.pth")

    line = [
        *("--dataset-train", "grozi-train", "--dataset-train-scale", "1280", "--dataset-val", "grozi-val-new-cl"),
        *("--dataset-val-scale", "1280", "--datasets-test", "grozi-val-old-cl", "grozi-val-new-cl"),
        *("--datasets-test-scale", "1280", "--num-random-crops-per-image", "10"),
    ]
    prepared = prepare_dataset_retrieval.config_of(prepare_dataset_retrieval._parser().parse_args(line))
    tasks.retrieval_prepare.validate(prepared)
    assert prepared.prepare.random_crops == 10
