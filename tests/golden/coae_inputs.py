"""Building the network and the data of CoAE as its golden cases were measured."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fill import fill_state_dict
from golden_cases import Case
from torch import Tensor, nn

from baselines.coae.config import default_config
from baselines.coae.modeling.model import CoAE, build_coae
from os2d.data.dataset import DatasetOneShotDetection

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def filled(case: Case, prefix: str, module: nn.Module) -> nn.Module:
    """Return the module with the values of a case, where reference names start with ``prefix``."""
    fill_state_dict(module, lambda name: prefix + name)
    state = module.state_dict()
    for name, factor in json.loads(str(case["param_scales"])).items():
        state[name.removeprefix(prefix)].mul_(factor)
    return module


def filled_network(case: Case, **overrides: object) -> CoAE:
    """Return the network with the values of a case."""
    config = default_config()
    config.merge_from_list([part for key, value in overrides.items() for part in (key.replace("__", "."), value)])
    model = build_coae(config, torch.Generator().manual_seed(0))
    filled(case, "", model)
    return model


def dataset_in(folder: Path, annotations: np.ndarray) -> DatasetOneShotDetection:
    """Return the data set of pictures ``<image>.png`` and ``class<class>.png`` in a folder.

    A row of the annotations is image, class, whether it is difficult, and left, top, right, bottom as shares.
    """
    image_ids, class_ids, difficult = annotations[:, :3].astype(int).T
    frame = pd.DataFrame(
        {
            "imageid": image_ids,
            "imagefilename": [f"{i}.png" for i in image_ids],
            "classid": class_ids,
            "classfilename": [f"class{c}.png" for c in class_ids],
            "gtbboxid": range(len(annotations)),
            "difficult": difficult,
            **dict(zip(("lx", "ty", "rx", "by"), annotations[:, 3:].T, strict=True)),
        }
    )
    return DatasetOneShotDetection(frame, folder, folder, "toy", image_size=1000)


def normalised(images_u8: np.ndarray) -> Tensor:
    """Return pixels (..., h, w, 3) as the network's input (B, 3, h, w)."""
    values = ((images_u8 / 255.0 - MEAN) / STD).astype(np.float32)
    return torch.from_numpy(values.reshape(-1, *values.shape[-3:])).permute(0, 3, 1, 2).contiguous()


def matched_share(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the share of expected boxes (with a score) that are among the found: IoU above 0.99, scores within 1e-3.

    Boxes are x1, y1, x2, y2, score; every found box matches once.
    """
    free = np.ones(len(found), dtype=bool)
    matched = 0
    for box in expected:
        top_left, bottom_right = np.maximum(found[:, :2], box[:2]), np.minimum(found[:, 2:4], box[2:4])
        intersection = (bottom_right - top_left + 1).clip(0).prod(1)
        area = (found[:, 2:4] - found[:, :2] + 1).prod(1) + (box[2:4] - box[:2] + 1).prod()
        iou = intersection / (area - intersection)
        fits = free & (iou > 0.99) & (np.abs(found[:, 4] - box[4]) < 1e-3)
        if fits.any():
            free[np.flatnonzero(fits)[0]] = False
            matched += 1
    return matched / max(len(expected), 1)
