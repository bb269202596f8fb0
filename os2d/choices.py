"""Looking up a configured name in a table of what exists."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from os2d.errors import ConfigError

T = TypeVar("T")


def choose(key: str, value: str, table: Mapping[str, T]) -> T:
    """Return the entry of ``table`` that the configuration key names; case does not matter.

    Raises:
        ConfigError: for an unknown value, with what is allowed and the closest match.
    """
    names = {name.lower(): name for name in table}
    if value.lower() in names:
        return table[names[value.lower()]]
    close = get_close_matches(value.lower(), names, n=1)
    hint = f"; did you mean {names[close[0]]}?" if close else ""
    raise ConfigError(f"{key}: expected one of {', '.join(table)}, got {value!r}{hint}")
