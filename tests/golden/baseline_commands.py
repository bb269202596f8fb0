"""The published commands of the baselines, read by our programs of the same name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from yacs.config import CfgNode

from baselines.coae import test_net, trainval_net
from baselines.detector_retrieval import main_detector_retrieval
from baselines.detector_retrieval.detector import train_detector
from baselines.detector_retrieval.retrieval import train

CHECKOUT = Path(__file__).resolve().parents[2]

READERS: Mapping[str, Callable[[Sequence[str]], CfgNode]] = {
    "trainval_net.py": lambda words: trainval_net.config_of_training(trainval_net._parser().parse_args(words)),
    "test_net.py": lambda words: test_net.config_of_evaluation(test_net._parser().parse_args(words)),
    "train_detector.py": lambda words: train_detector.config_of(train_detector._parser().parse_args(words)),
    "train.py": lambda words: train.config_of(train._parser().parse_args(words)),
    "main_detector_retrieval.py": lambda words: main_detector_retrieval.config_of(
        main_detector_retrieval._parser().parse_args(words)
    ),
}
"""Name of a program -> what reads its command line."""


def config_of(command: Mapping[str, Any]) -> CfgNode:
    """Return the configuration that a published command asks for; the checkout is the folder of the project."""
    read = READERS[PurePosixPath(command["program"]).name]
    return read([_word(word) for word in (*command["positional"], *_parameters(command))])


def value_of(command: Mapping[str, Any], name: str) -> str | None:
    """Return what a command says to a flag or a key; None if it does not name it."""
    return dict(command["parameters"]).get(name)


def _parameters(command: Mapping[str, Any]) -> list[str]:
    """Return the words of flags, keys and values; switches have no value."""
    return [word for pair in command["parameters"] for word in pair if word]


def _word(text: str) -> str:
    """Return a word as the shell passes it on: some lists were quoted by hand."""
    return text.replace("{root}", str(CHECKOUT)).removeprefix('"').removesuffix('"')
