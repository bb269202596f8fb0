"""The networks of OneNet's golden cases, filled as the reference was."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from fill import fill_state_dict
from yacs.config import CfgNode

from baselines.onenet.config_file import read_config
from baselines.onenet.modeling.model import OneNet, build_model

CONFIGS = Path(__file__).resolve().parents[2] / "baselines" / "onenet" / "configs"
NOT_FILLED = "cell_anchors"


def configuration(name: str, *overrides: object) -> CfgNode:
    """Return a published configuration, by the name of its file."""
    return read_config(CONFIGS / f"{name}.yaml", ["MODEL.DEVICE", "cpu", *map(str, overrides)])


def filled_model(meta: dict[str, Any]) -> OneNet:
    """Return the network of a case in evaluation mode; cases of the same filling share it."""
    return _filled(meta["config"], json.dumps(meta["adjust"]))


def fill(model: OneNet, adjust: list[Any]) -> None:
    """Set every parameter and buffer as the reference did."""
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items() if NOT_FILLED in name}
    fill_state_dict(model)
    state = model.state_dict()
    with torch.no_grad():
        for pattern, factor, shift in adjust:
            for name, tensor in state.items():
                if tensor.is_floating_point() and re.search(pattern, name):
                    tensor.mul_(factor).add_(shift)
        for name, tensor in kept.items():
            state[name].copy_(tensor)


@lru_cache(maxsize=2)
def _filled(config: str, adjust: str) -> OneNet:
    model = build_model(configuration(config))
    fill(model, json.loads(adjust))
    return model.eval()


def sliced(tensor: torch.Tensor, text: str) -> torch.Tensor:
    """Return the part of a tensor that ``text`` names, such as ``[0, ::4]``."""
    parts = [
        slice(*(int(n) if n.strip() else None for n in part.split(":"))) if ":" in part else int(part)
        for part in text.strip("[] ").split(",")
    ]
    return tensor[tuple(parts)]
