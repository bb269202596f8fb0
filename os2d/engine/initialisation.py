"""The task of saving and evaluating what a training starts from, without training."""

from __future__ import annotations

import torch
from yacs.config import CfgNode

from os2d.distributed import process_group
from os2d.engine.evaluation_task import evaluate_and_report
from os2d.engine.initial_weights import iteration_checkpoint_name
from os2d.engine.training_parts import build_network
from os2d.engine.training_state import network_checkpoint
from os2d.run import Run


def initialise_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Write ``checkpoint_iter_0.pth`` and return the metrics: both as a training with this configuration has them."""
    with process_group(config.is_cuda):
        model, optimizer = build_network(config, run)
        if config.runtime.channels_last:
            model.to(memory_format=torch.channels_last)
        run.save(network_checkpoint(model, optimizer), 0, name=iteration_checkpoint_name(0))
        return evaluate_and_report(model, config, run)
