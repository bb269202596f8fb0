"""What the published commands read, small: the grozi folder drawn by the shelf generator, and weights files.

The weights have the names and shapes of the released files, and values with which a network computes something sane.
"""

from __future__ import annotations

import json
from math import sqrt
from pathlib import Path

import torch
from torch import Tensor

from os2d.data.shelf.parameters import ShelfParameters
from os2d.data.shelf.store import draw_shelf

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "golden" / "os2d"

SMALL_GROZI = ShelfParameters(
    train_classes=3,
    unseen_classes=2,
    distractors=2,
    train_images=2,
    val_images=1,
    image_size=160,
    class_image_size=64,
    objects=(2, 3),
    product_px=(40.0, 60.0),
)

IDENTITY = {6: [1.0, 0, 0, 0, 1, 0], 4: [1.0, 0, 1, 0]}
"""Affine maps that change nothing, by their number of parameters."""


def write_grozi(data_root: Path, parameters: ShelfParameters = SMALL_GROZI) -> Path:
    """Draw a shelf data set in the folder layout of grozi and return its folder."""
    folder = data_root / "grozi"
    draw_shelf(folder, parameters)
    (folder / "classes" / "shelf.csv").rename(folder / "classes" / "grozi.csv")
    (folder / "src" / str(parameters.image_size)).rename(folder / "src" / "3264")
    return folder


def write_network(path: Path, keys_of: str) -> None:
    """Write a released checkpoint of the whole network; both branches share their tensors, as in the released files."""
    keys = json.loads((GOLDEN / f"state_dict_keys_{keys_of}.json").read_text())["keys"]
    net = {}
    for name, (shape, dtype) in keys.items():
        twin = name.replace("net_label_features.net_class_features.", "net_feature_maps.")
        net[name] = net[twin] if twin in net else _values(name, shape, dtype)
    groups = [{"lr": 1e-4, "momentum": 0.9, "dampening": 0, "weight_decay": 1e-4, "nesterov": False, "params": []}]
    torch.save({"net": net, "optimizer": {"state": {}, "param_groups": groups}}, path)


def write_backbone(path: Path, keys_of: str) -> None:
    """Write a converted classification network: the backbone without its prefix, and a layer OS2D does not have."""
    keys = json.loads((GOLDEN / f"state_dict_keys_{keys_of}.json").read_text())["keys"]
    prefix = "net_feature_maps."
    state = {name.removeprefix(prefix): _values(name, *of) for name, of in keys.items() if name.startswith(prefix)}
    torch.save({**state, "layer4.0.conv1.weight": torch.zeros(1).expand(512, 1024, 1, 1)}, path)


def write_weakalign(path: Path) -> None:
    """Write the alignment network; what is not read from it is zero and takes no room."""
    mapping = json.loads((GOLDEN / "weakalign_key_mapping.json").read_text())
    state = {theirs: torch.zeros(1).expand(shape) for _, theirs, shape in mapping["backbone"]}
    for ours, theirs, shape in mapping["affine_regressor"]:
        state[theirs] = _values(f"parameter_regressor.{ours}", shape, "float32")
    torch.save({"state_dict": state}, path)


def _values(name: str, shape: list[int], dtype: str) -> Tensor:
    if dtype != "float32":
        return torch.zeros(shape, dtype=getattr(torch, dtype))
    layer, leaf = name.split(".")[-2:]
    if leaf == "bias":
        return torch.tensor(IDENTITY[shape[0]]) if layer == "linear" else torch.zeros(shape)
    if layer == "linear":
        return 1e-4 * torch.randn(shape)
    if len(shape) == 4:
        return torch.randn(shape) * sqrt(2 / (shape[1] * shape[2] * shape[3]))
    if leaf == "running_mean":
        return torch.zeros(shape)
    return torch.full(shape, 0.3 if layer == "bn3" and leaf == "weight" else 1.0)  # residual branches stay small
