"""Tasks that do as little as possible, to measure everything around them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from orchestration.durable import to_json, write_whole


class Nothing:
    """Returns a number, and leaves behind when its first line ran."""

    code_version = "1"
    seed_key = "seed"
    neutral_keys: tuple[str, ...] = ()

    def default_config(self) -> dict[str, Any]:
        """Return a configuration that a space can vary."""
        return {"seed": 0, "index": 0}

    def validate(self, config: Mapping[str, Any]) -> None:
        """Accept every configuration."""

    def fingerprints(self, config: Mapping[str, Any]) -> dict[str, str]:
        """Return nothing: no data are read."""
        return {}

    def __call__(self, config: Mapping[str, Any], run: Any) -> dict[str, float]:
        """Do nothing."""
        begun = time.time()
        write_whole(run.dir / "begun.json", to_json(begun), durable=False)
        return {"value": float(config["index"])}


nothing = Nothing()
