"""The configuration of a command line: defaults, then YAML files that build on each other, then ``KEY VALUE`` pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from baselines.onenet.config import default_config
from baselines.onenet.detectron2_keys import is_without_meaning
from os2d.config_reading import set_overrides, set_value, values_of_file
from os2d.errors import ConfigError

PUBLISHED = Path(__file__).with_name("configs")
"""The published configurations: one of them has built every published network."""

BASE = "_BASE_"
"""Key of the file that a file builds on; its path is relative to the file's folder."""


def read_config(file: Path | None, overrides: Sequence[str] = ()) -> CfgNode:
    """Return the defaults with the file, those it builds on before it, and then the overrides merged; frozen.

    Keys of other systems in a file that the published program wrote are left out.

    Raises:
        ConfigError: a file cannot be read or builds on itself, or a key or a value is wrong.
    """
    config = default_config()
    for path in reversed(_chain(file)):
        for key, value in values_of_file(path):
            if key != BASE and not is_without_meaning(key, value, path):
                set_value(config, key, value, f" ({path})")
    set_overrides(config, overrides)
    config.freeze()
    return config


def named_config(name: str) -> Path:
    """Return the file of a published configuration such as ``onenet.res50.dcn``; any other name is that of a file."""
    published = PUBLISHED / f"{name}.yaml"
    return published if published.is_file() else Path(name)


def _chain(file: Path | None) -> list[Path]:
    """Return the file, the one it builds on, the one that builds on, ..."""
    chain: list[Path] = []
    while file is not None:
        if any(file.resolve() == earlier.resolve() for earlier in chain):
            names = " -> ".join(map(str, [*chain, file]))
            raise ConfigError(f"{file}: {BASE}: expected a file that does not build on this one, got {names}")
        chain.append(file)
        base = dict(values_of_file(file)).get(BASE)
        if base is not None and not isinstance(base, str):
            raise ConfigError(f"{file}: {BASE}: expected the path of a file, got {base!r}")
        file = None if base is None else file.parent / Path(base).expanduser()
    return chain
