"""A trial over several nodes of a Ray cluster: a bundle of resources on each, and a worker in each bundle.

The worker on the first node is started by the trainable, and decides; the others notice its end by themselves.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.util.placement_group import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from orchestration.distributed.node import node_environment, rendezvous_here
from orchestration.journal import TrialFolder
from orchestration.launch.worker import Worker
from orchestration.resources import Resources

POLL_SECONDS = 0.2
END_SECONDS = 30.0
"""The other nodes may take so long to notice that the first one has ended."""


def bundles(resources: Resources) -> Any:
    """Return what Tune reserves for a trial: a bundle per node, on machines that all differ."""
    share = {"CPU": resources.cpus, "GPU": resources.gpus} if resources.gpus else {"CPU": resources.cpus}
    strategy = "STRICT_SPREAD" if resources.nodes > 1 else "PACK"
    return tune.PlacementGroupFactory([share] * resources.nodes, strategy=strategy)


@contextmanager
def other_nodes(folder: TrialFolder, resources: Resources, cwd: Path) -> Iterator[Mapping[str, str]]:
    """Start the workers of the other nodes; yield what the first one needs in its environment.

    What they occupy is free again at the end of the block.
    """
    if resources.nodes == 1:
        yield {}
        return
    rendezvous = rendezvous_here()
    group = get_current_placement_group()
    assert group is not None  # the one that Tune made from our bundles
    workers = [
        ray.remote(_work)
        .options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_retries=0,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
        )
        .remote(str(folder.path), node_environment(rendezvous, rank), str(cwd))
        for rank in range(1, resources.nodes)
    ]
    try:
        yield node_environment(rendezvous, 0)
    finally:
        _, late = ray.wait(workers, num_returns=len(workers), timeout=END_SECONDS)
        for worker in late:
            ray.cancel(worker, force=True)


def _work(folder: str, node: Mapping[str, str], cwd: str) -> None:
    """Run the worker of one node to its end."""
    trial = TrialFolder(Path(folder))
    request = trial.request()
    resources = request.resources if request else trial.trial.resources
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "") if resources.gpus else ""
    worker = Worker(trial, resources, gpus, Path(cwd), node)
    while not worker.has_ended():
        time.sleep(POLL_SECONDS)
