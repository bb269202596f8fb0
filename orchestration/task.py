"""What planning and running need to know of a task, and the import of one by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Protocol

from orchestration.errors import DescriptionError


class ConfigTree(Protocol):
    """A tree of configuration nodes as tasks receive it: a nested mutable mapping (a yacs ``CfgNode`` is one)."""

    def __getitem__(self, key: str, /) -> Any:
        """Return the value or node of one key."""

    def __setitem__(self, key: str, value: Any, /) -> None:
        """Replace the value of one key."""

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of this node."""


class Task(Protocol):
    """What the object named by ``"package.module:object"`` offers."""

    @property
    def code_version(self) -> str:
        """Raised by hand when the same configuration gives other numbers than before."""

    @property
    def seed_key(self) -> str:
        """The configuration key that holds the seed; empty when the task has none."""

    @property
    def neutral_keys(self) -> tuple[str, ...]:
        """Keys, or prefixes ending in a dot, that cannot change any result."""

    @property
    def default_config(self) -> Any:
        """A function that returns a fresh tree with every key and its default."""

    @property
    def validate(self) -> Any:
        """A function of a tree that raises an error with an ``exit_code`` for values that cannot work."""

    @property
    def fingerprints(self) -> Any:
        """A function of a tree that returns name -> hash of every file with data or weights it reads."""

    def __call__(self, config: Any, run: Any, /) -> Mapping[str, float]:
        """Do the work and return the final metrics."""


def load_task(name: str) -> Task:
    """Import the task called ``"package.module:object"``."""
    module_name, separator, attribute = name.partition(":")
    if not separator or not module_name or not attribute:
        raise DescriptionError(f"task {name!r}: expected 'package.module:object'")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        raise DescriptionError(
            f"task {name!r}: there is no module {error.name!r}; run from the folder that contains it, or install it"
        ) from error
    if not hasattr(module, attribute):
        raise DescriptionError(f"task {name!r}: module {module_name} has no object {attribute!r} ({module.__file__})")
    task: Task = getattr(module, attribute)
    required = ("code_version", "seed_key", "neutral_keys", "default_config", "validate", "fingerprints", "__call__")
    missing = [part for part in required if not hasattr(task, part)]
    if missing:
        raise DescriptionError(f"task {name!r}: {type(task).__name__} is not a task: it lacks {', '.join(missing)}")
    return task


def config_of(task: Task, values: Mapping[str, Any]) -> ConfigTree:
    """Return the task's tree filled with a trial's resolved values, frozen where the tree can be."""
    tree: ConfigTree = task.default_config()
    _fill(tree, values, "")
    if hasattr(tree, "freeze"):
        tree.freeze()
    return tree


def put(node: ConfigTree, key: str, value: Any) -> None:
    """Give a key of a task's tree a planned value, in which tuples are lists."""
    node[key] = tuple(value) if isinstance(node[key], tuple) else value


def _fill(tree: Any, values: Mapping[str, Any], prefix: str) -> None:
    if set(tree) != set(values):
        changed = ", ".join(sorted(prefix + key for key in set(tree) ^ set(values)))
        raise DescriptionError(
            f"the task's configuration has other keys than when the trial was planned: {changed}; "
            "check out the code the trial was planned with, or raise the task's code_version and plan again"
        )
    for key, value in values.items():
        if isinstance(tree[key], Mapping):
            _fill(tree[key], value, f"{prefix}{key}.")
        else:
            put(tree, key, value)
