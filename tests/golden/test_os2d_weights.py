"""Files as the published projects write them, loaded and converted: the right numbers arrive at the right places."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fill import fill_state_dict
from golden_cases import Golden
from torch import Tensor
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.engine.optimisation import build_optimizer
from os2d.engine.training_state import load_optimizer
from os2d.modeling.backbone import build_backbone
from os2d.modeling.checkpoint import load_init_model, load_initial_weights
from os2d.modeling.conversion import caffe2_cirtorch, caffe2_groupnorm, cirtorch, maskrcnn_benchmark
from os2d.modeling.conversion.convert_file import convert_file
from os2d.modeling.inspection import inspect_file
from os2d.modeling.network import build_os2d
from os2d.modeling.network_keys import CLASS_BRANCH, IMAGE_BRANCH
from tests.unit.weights_files import legacy, pickled, renamed, resnet, rewritten_strings, saved, spread, value_of

STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
PUBLISHED = ("v1_resnet101", "v2_resnet50", "v2_resnet50_group_norm", "v2_resnet50_separate_branches")


def published_config(told: dict[str, object]) -> CfgNode:
    config = default_config()
    for key, value in told.items():
        config.merge_from_list([key, value])
    return config


def name_of_value(name: str, merged: bool) -> str:
    return name.replace(CLASS_BRANCH, IMAGE_BRANCH) if merged else name


def published_file(path: Path, case: dict, merged: bool) -> Path:
    """A released checkpoint: written on a GPU by torch 1, with SGD's momentum and what the network was best in."""
    net = {
        name: spread(name_of_value(name, merged), shape, getattr(torch, dtype))
        for name, (shape, dtype) in case["keys"].items()
    }
    names = case["trainable_parameters"]
    ids = [140000000000000 + 64 * i for i in range(len(names))]  # torch 1.4 numbered parameters by their address
    momentum = {
        i: {"momentum_buffer": spread(f"momentum of {n}", case["keys"][n][0])} for i, n in zip(ids, names, strict=True)
    }
    group = {"lr": 1e-4, "momentum": 0.9, "dampening": 0, "weight_decay": 1e-4, "nesterov": False, "params": ids}
    content = {
        "net": net,
        "optimizer": {"state": momentum, "param_groups": [group]},
        "criterion_dataset": "grozi-val-new-cl",
        "criterion_metric": "mAP@0.50",
        "criterion_mode": "max",
        "criterion_value": np.float64(0.9065),
        "criterion_value_old": None,
    }
    path.write_bytes(rewritten_strings(legacy(content), {"cpu": "cuda:0"}))
    return path


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.reads(f"os2d/state_dict_keys_{n}.json")) for n in PUBLISHED]
)
def test_a_published_checkpoint_is_told_and_loads_with_its_optimiser(name: str, golden: Golden, tmp_path: Path) -> None:
    case = golden.json(f"os2d/state_dict_keys_{name}.json")
    merged = "separate" not in name
    path = published_file(tmp_path / "checkpoint.pth", case, merged)

    told = inspect_file(path)

    told_config = {key: value for key, value in told.config.items() if key != "init.model"}
    assert told.problems == [] and told.layout == "os2d" and told.version == name[:2].upper() and told.merged is merged
    assert told.parameters == sum(np.prod(case["keys"][n][0]) for n in case["trainable_parameters"])
    assert told.optimizer is not None and told.optimizer["method"] == "sgd"
    assert told.optimizer["parameters"] == len(case["trainable_parameters"])
    assert told.best_model["value"] == 0.9065
    assert {k: told_config[k] for k in case["config"]} == case["config"]

    config = published_config(told_config)
    model = build_os2d(config)
    state = load_init_model(model, path)
    optimizer = build_optimizer(model.parameters(), config.train.optim)
    load_optimizer(optimizer, state, path)

    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, spread(name_of_value(key, merged), tensor.shape, tensor.dtype)), key
    parameters = dict(model.named_parameters())
    for key in case["trainable_parameters"]:
        momentum = optimizer.state[parameters[key]]["momentum_buffer"]
        assert momentum.shape == parameters[key].shape, key
        assert momentum.flatten()[0] == torch.tensor(value_of(f"momentum of {key}")), key


@pytest.mark.reads("os2d/weakalign_key_mapping.json")
@pytest.mark.parametrize("way", ["as it is", "converted"])
def test_weakalign_gives_backbone_and_transformation(way: str, golden: Golden, tmp_path: Path) -> None:
    mapping = golden.json("os2d/weakalign_key_mapping.json")
    triples = mapping["backbone"] + mapping["affine_regressor"]
    weights = {theirs: spread(theirs, shape) for _, theirs, shape in triples}
    second = {f"FeatureRegression2.{own}": spread(own, shape) for own, _, shape in mapping["affine_regressor"]}
    path = saved(tmp_path / "weakalign_resnet101_affine_tps.pth.tar", {"epoch": 20, "state_dict": weights | second})
    config = published_config({"model.backbone_arch": "ResNet101"})
    if way == "converted":
        report = convert_file(path)
        assert sorted(report.dropped) == sorted(second)
        assert report.output.endswith("weakalign_resnet101_affine_tps-converted.pth")
        config = published_config(report.config)
    else:
        config.init.model = config.init.transform = str(path)

    model = build_os2d(config)
    load_initial_weights(model, config.init)

    modules = {
        "backbone": model.net_label_features.net_class_features,
        "affine_regressor": model.os2d_head_creator.aligner.parameter_regressor,
    }
    for part, module in modules.items():
        state = module.state_dict()
        for own, theirs, _ in mapping[part]:
            assert torch.equal(state[own], spread(theirs, state[own].shape)), own


def write_caffe2_cirtorch(folder: Path, weights: dict[str, Tensor]) -> Path:
    path = folder / "imagenet-caffe-resnet50-features-ac468af.pth"
    path.write_bytes(legacy(renamed(weights, caffe2_cirtorch.PREFIXES)))
    return path


def write_cirtorch(folder: Path, weights: dict[str, Tensor]) -> Path:
    named = renamed(weights, cirtorch.PREFIXES) | {"pool.p": torch.ones(1), "whiten.weight": torch.ones(2, 2)}
    return saved(folder / "gl18-tl-resnet50-gem-w.pth", {"meta": {"outputdim": 2048}, "state_dict": named})


def write_maskrcnn(folder: Path, weights: dict[str, Tensor]) -> Path:
    first = weights["conv1.weight"] / STD / 255 * torch.tensor([57.0, 58.0, 59.0])[:, None, None]
    named = renamed({**weights, "conv1.weight": first.flip(1)}, maskrcnn_benchmark.PREFIXES)
    path = saved(
        folder / "e2e_mask_rcnn_R_50_FPN_1x.pth", {"model": named | {"module.rpn.head.conv.bias": torch.ones(2)}}
    )
    path.with_suffix(".yaml").write_text("INPUT:\n  PIXEL_STD: [59.0, 58.0, 57.0]\nMODEL:\n  MASK_ON: True\n")
    return path


def write_groupnorm(folder: Path, weights: dict[str, Tensor]) -> Path:
    first = (weights["conv1.weight"] / STD / 255).flip(1)
    blobs = {caffe2_groupnorm.blob_name(k): t.numpy() for k, t in {**weights, "conv1.weight": first}.items()}
    return pickled(folder / "R-50-GN.pkl", {"blobs": blobs})


@pytest.mark.parametrize(
    ("case_name", "write", "published_name"),
    [
        pytest.param(
            f"feature_extractor_resnet50_{norm}",
            write,
            published,
            marks=pytest.mark.reads(f"os2d/feature_extractor_resnet50_{norm}.npz"),
            id=write.__name__.removeprefix("write_"),
        )
        for norm, write, published in (
            ("bn", write_caffe2_cirtorch, "imagenet-caffe-resnet50-features-ac468af-converted.pth"),
            ("bn", write_cirtorch, "gl18-tl-resnet50-gem-w-converted.pth"),
            ("bn", write_maskrcnn, "e2e_mask_rcnn_R_50_FPN_1x_converted.pth"),
            ("gn", write_groupnorm, "resnet50_caffe2_groupnorm.pth"),
        )
    ],
)
def test_a_converted_backbone_computes_the_golden_features(
    case_name: str,
    write: Callable[[Path, dict[str, Tensor]], Path],
    published_name: str,
    golden: Golden,
    tmp_path: Path,
) -> None:
    case = golden(f"os2d/{case_name}.npz")
    group_norm = case.meta["group_norm"]
    filled = build_backbone("ResNet50", group_norm)
    fill_state_dict(filled)
    wanted = {k: t for k, t in filled.state_dict().items() if not k.endswith("num_batches_tracked")}

    report = convert_file(write(tmp_path, resnet("ResNet50", group_norm) | wanted))
    model = build_os2d(published_config(report.config))
    load_initial_weights(model, published_config(report.config).init)
    with torch.no_grad():
        features = model.extract_features(torch.from_numpy(case["image"].astype(np.float32))[None])[0]

    assert Path(report.output).name == published_name
    expected = case["features_every_16th_channel"]
    computed = features[:: case.meta["channel_stride"]].numpy()
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
