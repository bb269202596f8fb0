"""A whole run of the benchmark."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from rich.console import Console

from os2d.bench.against import Original
from os2d.bench.case import Case
from os2d.bench.differences import Difference, find_differences
from os2d.bench.gpu import inspect_gpu
from os2d.bench.machine import describe_machine
from os2d.bench.measure import StageResult, chosen_stages, measure
from os2d.bench.peaks import measure_peaks
from os2d.bench.report import Report
from os2d.bench.settings import Settings
from os2d.bench.stages import STAGES
from os2d.errors import ConfigError
from os2d.modeling.precision import FORMATS
from os2d.structures.sizes import Size

ORIGINAL_BACKBONES = ("resnet50", "resnet101")


def run_benchmark(settings: Settings, stages: str, against: Path | None, progress: Console) -> Report:
    """Return the result of all chosen stages.

    Args:
        settings: the work.
        stages: names separated by commas; empty: all.
        against: a checkout of the published program, to be measured and compared.
        progress: is told what is going on.

    Raises:
        ConfigError: a stage that does not exist, or a network that the published program does not have.
        OriginalError: the published program cannot be run.
    """
    names = chosen_stages(stages)
    if against is not None:
        _check_comparable(settings)
    with ExitStack() as open_:
        open_.enter_context(_silence("os2d"))  # evaluations report on themselves
        folder = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="oneshot-bench-")))
        status = open_.enter_context(progress.status("measuring the machine"))
        case = Case(settings, folder)
        formats = {name: FORMATS[name] for name in dict.fromkeys(("fp32", "bf16", settings.precision))}
        peaks = measure_peaks(case.device, formats, settings.quick)
        status.update("making the network and its inputs")
        original: Original | None = None
        differences: list[Difference] = []
        if against is not None:
            case.write()
            original = open_.enter_context(Original(against, folder, torch.get_num_threads()))
            status.update("comparing what both programs find")
            differences = find_differences(case, names, original) if settings.precision == "fp32" else []
        results: list[StageResult] = []
        measured = measure(case, names, original)
        for name in names:
            status.update(f"{STAGES[name].title} ({len(results) + 1} of {len(names)})")
            results.append(next(measured))
        return Report(describe_machine(case.device), settings, peaks, results, differences, inspect_gpu(case))


@contextmanager
def _silence(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def parse_size(text: str) -> Size:
    """Return the size that ``1280x960`` describes.

    Raises:
        ConfigError: anything else.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or min(int(match[1]), int(match[2])) < 64:
        raise ConfigError(
            f"--image-size: expected WIDTHxHEIGHT of at least 64 pixels each, such as 1280x960, got {text!r}"
        )
    return Size(int(match[1]), int(match[2]))


def _check_comparable(settings: Settings) -> None:
    if settings.backbone.lower() not in ORIGINAL_BACKBONES or settings.backbone_cut != "layer3":
        raise ConfigError(
            f"--against: the published program has no network of {settings.backbone} up to {settings.backbone_cut}; "
            "use ResNet50 or ResNet101"
        )
    if settings.template_grid != 15:
        raise ConfigError(f"--against: templates of the published program have 15 cells, not {settings.template_grid}")
