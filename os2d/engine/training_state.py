"""What training writes to disk, on the CPU and readable without running code from the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from yacs.config import CfgNode

from os2d.data.train_loader import TrainBatch
from os2d.errors import CheckpointError
from os2d.modeling.weights_file import on_cpu


def network_checkpoint(model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Return what a published checkpoint holds: weights and the state of the optimiser."""
    return on_cpu({"net": model.state_dict(), "optimizer": optimizer.state_dict()})


def load_optimizer(optimizer: Optimizer, state: Mapping[str, Any], path: str | Path) -> None:
    """Load the state of an optimiser.

    Raises:
        CheckpointError: it is the state of other parameters or of another method.
    """
    try:
        optimizer.load_state_dict(dict(state))
    except (ValueError, KeyError) as e:
        raise CheckpointError(
            f"{path}: its optimiser state is not one of {type(optimizer).__name__} over the parameters trained here "
            f"({e}); check train.optim.optim_method and train.model, or take a file without an optimiser"
        ) from e


def resume_optimizer(optimizer: Optimizer, state: Mapping[str, Any], lr_factor: float) -> None:
    """Take what an optimiser has gathered, but not its settings: those stay what they are, as they are configured.

    A population based sweep goes on with another configuration from the same state. The learning rate is the saved
    one, annealed as it may be, times ``lr_factor``.
    """
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(dict(state))
    for group, configured in zip(optimizer.param_groups, settings, strict=True):
        group.update({**configured, "lr": group["lr"] * lr_factor})


def dump_of_failed_step(batch: TrainBatch, model: nn.Module, optimizer: Optimizer, config: CfgNode) -> dict[str, Any]:
    """Return everything that is needed to look into a step whose gradient was not finite."""
    batch_data = {
        "images": batch.images,
        "class_images": batch.class_images,
        "loc_targets": batch.loc_targets,
        "cls_targets": batch.cls_targets,
        "class_ids": batch.class_ids,
        "boxes_xyxy": [boxes.boxes_xyxy for boxes in batch.boxes],
        "labels": [boxes.field("labels") for boxes in batch.boxes],
        "difficult": [boxes.field("difficult") for boxes in batch.boxes],
        "image_ids": batch.image_ids,
    }
    dump = {
        "batch_data": batch_data,
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "cfg": config.dump(),
        "grad": {name: p.grad for name, p in model.named_parameters() if p.grad is not None},
    }
    return on_cpu(dump)
