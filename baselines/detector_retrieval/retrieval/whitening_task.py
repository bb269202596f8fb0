"""The task of learning a whitening of a network's descriptors, at one scale and at several."""

from __future__ import annotations

import logging
from typing import Any

from yacs.config import CfgNode

from baselines.detector_retrieval.retrieval.descriptors import ONE_SCALE
from baselines.detector_retrieval.retrieval.device import prepare_device
from baselines.detector_retrieval.retrieval.extraction import Extraction, describe_test_set
from baselines.detector_retrieval.retrieval.needs import WHITENING_FILE, data_folder, network_file
from baselines.detector_retrieval.retrieval.prepared import read_test_set, read_training_set
from baselines.detector_retrieval.retrieval.weights import load_network
from baselines.detector_retrieval.retrieval.whitening import MULTI_SCALE, SINGLE_SCALE, Whitening, learn_whitening
from os2d.metric_names import on_dataset
from os2d.run import Run

logger = logging.getLogger(__name__)


def whiten_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Learn a whitening per kind of descriptor, keep both in one file and return how they do on the test sets.

    Interrupted, it goes on with the kinds that are left.
    """
    device = prepare_device(config)
    root = data_folder(config.data.path, run)
    pictures = read_training_set(root, config.data.train, "train")
    tests = [read_test_set(root, name) for name in dict.fromkeys(config.data.tests)]
    network = load_network(network_file("network", config.network, run)).to(device)

    def between() -> None:
        if run.should_stop:
            run.interrupt()

    extract = Extraction(network, config.data.image_size, config.runtime.num_workers, between)
    state: dict[str, Any] = {"learned": {}, "metrics": {}, **(run.resume() or {})}
    for kind, scales in ((SINGLE_SCALE, ONE_SCALE), (MULTI_SCALE, tuple(config.scales))):
        if kind in state["learned"]:
            continue
        vectors_ND = extract(pictures.files, scales).double()
        query_M, positive_M = pictures.query_M.to(device), pictures.positive_M.to(device)
        whitening = learn_whitening(vectors_ND, query_M, positive_M)
        state["learned"][kind] = {name: part.float().cpu() for name, part in whitening.content().items()}
        for test in tests:
            described = describe_test_set(extract, test, scales)
            of_kind = {
                "mAP": described,
                "mAP_whitened": described.whitened(Whitening.of_content(state["learned"][kind])),
            }
            for metric, descriptors in of_kind.items():
                name = on_dataset(f"{metric}_{kind}", test.name)
                state["metrics"][name] = descriptors.result(test).mean_average_precision
        run.save(state, len(state["learned"]))
    run.save(state["learned"], 0, WHITENING_FILE)
    run.log(state["metrics"], 0)
    return dict(state["metrics"])
