"""What the published program expects of its libraries and today's versions no longer do."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.optim import lr_scheduler


def restore_libraries() -> None:
    """Bring back removed names and defaults, in this process only; call it before the program is imported."""
    if not hasattr(Image, "ANTIALIAS"):
        Image.ANTIALIAS = Image.Resampling.LANCZOS  # type: ignore[attr-defined]
    if not hasattr(pd.DataFrame, "append"):
        pd.DataFrame.append = _append_rows  # type: ignore[attr-defined]
    if not torch.cuda.is_available():
        torch.cuda.synchronize = _nothing_to_wait_for  # type: ignore[assignment]  # called even where there is no GPU
    torch.load = functools.partial(torch.load, weights_only=False)  # files of the benchmark alone are read here
    lr_scheduler.ReduceLROnPlateau = _silent_plateau()  # type: ignore[assignment,misc]


def count_negatives_as_on_gpu(objective_class: Any) -> None:
    """Let an unlimited number of negatives mean all of them on the CPU, too.

    The program casts infinity to an integer: on a GPU that is the largest one, on an x86 CPU the smallest, and there
    the ranked list loss would have no negatives at all.
    """

    def negatives_that_count(ranking: Tensor, positive: Tensor, negative: Tensor, ratio: float) -> Tensor:
        allowed = ratio * positive.flatten(1).sum(1).double()
        allowed = torch.nan_to_num(allowed, nan=0.0, posinf=float(ranking.numel()))
        return negative & (ranking < allowed.view(-1, *[1] * (ranking.ndim - 1)))

    objective_class._convert_neg_ranking_to_mask = staticmethod(negatives_that_count)


@contextmanager
def suppressing_at_once(nms: Callable[..., Any]) -> Iterator[None]:
    """Let the program suppress all boxes of a class together while results are compared, not while they are timed.

    It works off 10,000 at a time in whatever order they come. A box that falls to one which falls itself later then
    stays away, and with many boxes the result is another than that of suppression.
    """
    defaults = nms.__defaults__ or ()
    nms.__defaults__ = (sys.maxsize, *defaults[1:])
    try:
        yield
    finally:
        nms.__defaults__ = defaults


def _append_rows(frame: pd.DataFrame, other: Any, ignore_index: bool = False) -> pd.DataFrame:
    return pd.concat([frame, pd.DataFrame(other)], ignore_index=ignore_index)


def _nothing_to_wait_for(*arguments: object) -> None:
    return None


def _silent_plateau() -> type:
    class ReduceLROnPlateau(lr_scheduler.ReduceLROnPlateau):
        def __init__(self, *arguments: Any, verbose: bool = False, **options: Any) -> None:
            super().__init__(*arguments, **options)

    return ReduceLROnPlateau
