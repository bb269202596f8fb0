"""Metrics that a pattern means: those of the episodes of a trial, say.

``*`` stands for any text, everything else for itself, and the whole name must match: ``episode-1`` is not
``episode-10``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestration.tracking.metric_names import original_name


def matching_names(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names that match, sorted, whether they come from a trial folder or from MLflow.

    >>> matching_names("mAP@0.50_*", ["mAP@0.50_dairy", "mAP_at_0.50_paste", "loss"])
    ['mAP@0.50_dairy', 'mAP_at_0.50_paste']
    """
    literal = [re.escape(original_name(piece)) for piece in pattern.split("*")]
    matches = re.compile(".*".join(literal)).fullmatch
    return sorted(name for name in names if matches(original_name(name)))
