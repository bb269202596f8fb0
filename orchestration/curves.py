"""What a trial measured, as curves over steps."""

from __future__ import annotations

from collections.abc import Iterable

from orchestration.journal import TrialFolder
from orchestration.journal_records import MetricPoint, Result

Curves = dict[str, dict[int, float]]
"""Metric name -> step -> value."""


def curves_of(folder: TrialFolder) -> Curves:
    """Return everything the trial logged, and its final metrics where they were not logged as well."""
    points = folder.metrics()
    curves: Curves = {}
    for point in [*points, *final_points(folder.result(), points)]:
        curves.setdefault(point.name, {})[point.step] = point.value
    return curves


def final_points(result: Result | None, logged: Iterable[MetricPoint]) -> list[MetricPoint]:
    """Return the final metrics that were never logged, as points at the last step that was."""
    if result is None:
        return []
    names: set[str] = set()
    last_step = 0
    for point in logged:
        names.add(point.name)
        last_step = max(last_step, point.step)
    return [
        MetricPoint(name, float(value), last_step, result.finished_ms)
        for name, value in result.metrics.items()
        if name not in names
    ]
