"""Where weights lie that a configuration names by the catalogue of maskrcnn-benchmark.

Light on purpose (no torch): planners ask too.
"""

from __future__ import annotations

from pathlib import Path

from os2d.errors import ConfigError

PREFIX = "catalog://"

FILES = {
    "catalog://ImageNetPretrained/MSRA/R-50": Path("models/MSRA-R-50.pkl"),
    "catalog://ImageNetPretrained/MSRA/R-101": Path("models/MSRA-R-101.pkl"),
}
"""Name in the catalogue -> file, relative to the working directory."""


def weights_path(name: str) -> Path:
    """Return the file that ``MODEL.WEIGHT`` names.

    Raises:
        ConfigError: the catalogue has no such entry.
    """
    if not name.startswith(PREFIX):
        return Path(name)
    if name not in FILES:
        raise ConfigError(f"MODEL.WEIGHT: expected a file or one of {', '.join(FILES)}, got {name!r}")
    return FILES[name]
