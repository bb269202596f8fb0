"""The same experiments with other settings: what a miniature, or a longer run, of a description is.

Names, variants, seeds, tags and needs are kept, so the structure cannot drift from the original's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from orchestration.describe import Column, Experiment, Need, Row, Sweep, Table, Variant
from orchestration.errors import DescriptionError
from orchestration.resolve import defaults_of
from orchestration.resources import Resources
from orchestration.signature import flatten

Changes = Mapping[str, Any]
"""Dotted key -> its value, or what makes it of the original's: a table of such values, or a function.

In a table, a list of the original is looked up as a tuple.
"""

_Part = TypeVar("_Part", Row, Column)


@dataclass(frozen=True)
class Derivation:
    """Makes one experiment, or table, of another; of equal originals the same object.

    Args:
        rename: name of an original -> name of what is made of it.
        changes: task -> what changes in its configurations, whether an experiment or its variants set it.
        resources: of every trial.
    """

    rename: Callable[[str], str]
    changes: Mapping[str, Changes]
    resources: Resources
    _made: dict[str, tuple[Experiment, Experiment]] = field(default_factory=dict, init=False)

    def experiment(self, original: Experiment) -> Experiment:
        """Return an experiment of the same variants, whose needs are derived too.

        Raises:
            DescriptionError: nothing is said about one of its tasks, or a key of the changes is unknown.
        """
        known, made = self._made.get(original.name, (None, None))
        if made is not None:
            if known != original:
                raise DescriptionError(f"two different experiments are called {original.name!r}; derive them apart")
            return made
        if isinstance(original, Sweep) or original.space is not None:
            raise DescriptionError(
                f"experiment {original.name!r}: only experiments of variants can be derived; this one has a space"
            )
        made = replace(
            original,
            name=self.rename(original.name),
            config={},
            variants=[self._variant(original, variant) for variant in original.variants],
            resources=self.resources,
            needs=self._needs(original.needs),
        )
        self._made[original.name] = original, made
        return made

    def table(self, original: Table, title: str, caption: str = "") -> Table:
        """Return a table of the same rows and columns over the derived experiments.

        Published numbers are not its, and how many values a pooled cell has may differ.
        """
        return replace(
            original,
            name=self.rename(original.name),
            title=title,
            caption=caption,
            experiment=[
                self.experiment(one) if isinstance(one, Experiment) else self.rename(name)
                for one, name in zip(original.experiments, original.experiment_names, strict=True)
            ],
            columns=[replace(self._renamed(column), values=None) for column in original.columns],
            rows=None if original.rows is None else [self._renamed(row) for row in original.rows],
            published={},
            published_in="",
        )

    def _variant(self, experiment: Experiment, variant: Variant) -> Variant:
        task = variant.task or experiment.task
        if task not in self.changes:
            raise DescriptionError(
                f"experiment {experiment.name!r}: nothing is said about changes of its task {task!r}"
            )
        settings = flatten(experiment.config) | flatten(variant.config)
        defaults = defaults_of(task).values
        for key, change in self.changes[task].items():
            if key not in defaults:
                raise DescriptionError(f"changes of {task!r}: {key}: the task has no such key")
            place = f"experiment {experiment.name!r}, variant {variant.name!r}: {key}"
            settings[key] = _changed(settings.get(key, defaults[key]), change, place)
        return replace(variant, config=settings, needs=self._needs(variant.needs))

    def _needs(self, needs: Mapping[str, Need]) -> dict[str, Need]:
        return {name: replace(need, experiment=self._needed(need.experiment)) for name, need in needs.items()}

    def _needed(self, experiment: Experiment | str) -> Experiment | str:
        return self.rename(experiment) if isinstance(experiment, str) else self.experiment(experiment)

    def _renamed(self, part: _Part) -> _Part:
        return part if part.experiment is None else replace(part, experiment=self.rename(part.experiment))


def _changed(original: Any, change: Any, place: str) -> Any:
    if isinstance(change, Mapping):
        looked_up = tuple(original) if isinstance(original, list | tuple) else original
        if looked_up not in change:
            known = ", ".join(map(repr, change))
            raise DescriptionError(f"{place}: nothing is said about the value {looked_up!r}, only about {known}")
        return change[looked_up]
    return change(original) if callable(change) else change
