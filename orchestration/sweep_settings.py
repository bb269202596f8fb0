"""What the decisions of a sweep depend on, as plain values that can be hashed and stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from orchestration.describe import Experiment, Sweep, Table, experiments_of


def sweeps_of(descriptions: Iterable[Experiment | Table]) -> list[Sweep]:
    """Return the sweeps of a file, those that only a table brings along included."""
    return [one for one in experiments_of(descriptions) if isinstance(one, Sweep)]


def settings_of(sweep: Sweep) -> dict[str, Any]:
    """Return everything a decision of the sweep depends on, as plain values."""
    searcher = replace(sweep.searcher, n=1) if sweep.searcher is not None else None
    search = {
        "searcher": _plain(searcher),
        "config": _plain_values({**sweep.config, **sweep.variants[0].config}),
        "task": sweep.variants[0].task or sweep.task,
        "domains": {key: _plain(domain) for key, domain in sweep.domains.items()},
    }
    return {
        "metric": sweep.metric,
        "mode": sweep.mode,
        "scheduler": _plain(sweep.scheduler),
        **(search if sweep.domains else {}),
    }


def population_of(sweep: Experiment, member: int) -> dict[str, Any]:
    """Return what makes a trial the member of a population, whose settings change while it runs; empty for others."""
    if not isinstance(sweep, Sweep) or not sweep.is_population:
        return {}
    return {"member": member, **{key: settings_of(sweep)[key] for key in ("metric", "mode", "scheduler", "domains")}}


def _plain(settings: Any) -> Any:
    return None if settings is None else {"kind": type(settings).__name__, **_plain_values(asdict(settings))}


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain_value(value) for key, value in values.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _plain_values(value)
    if isinstance(value, list | tuple):
        return [_plain_value(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
