"""A trial as its folder keeps it: all that a worker reads of it. :mod:`orchestration.plan` makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.resources import Resources
from orchestration.signature import SHOWN_DIGITS


@dataclass(frozen=True)
class Trial:
    """One execution of a task that gives one set of numbers.

    Trials that agree on task, code version, configuration (without neutral keys), seed, needs and fingerprints have
    the same signature and are the same trial, whatever they are called.

    Args:
        name: unique in its experiment.
        experiment: the first one in the file that asks for it, as ``name``, ``variant``, ``tags`` and ``point``.
        variant: the variant's name.
        task: ``"package.module:object"``.
        code_version: as declared by the task.
        config: the full resolved configuration, nested.
        seed: also in the configuration, under the task's seed key.
        resources: what it occupies while it runs.
        needs: name of an input -> signature of the trial that provides it.
        tags: what tables select by.
        fingerprints: name -> hash of the data and weight files it reads.
        point: the overrides of the space.
        neutral_keys: the task's keys that cannot change a result.
        population: what makes it a member of a population, whose settings change while it runs; empty for others.
        signature: 64 hexadecimal digits.
        group: the signature without the seed: what tables average over.
    """

    name: str
    experiment: str
    variant: str
    task: str
    code_version: str
    config: Mapping[str, Any]
    seed: int
    resources: Resources
    needs: Mapping[str, str]
    tags: Mapping[str, str]
    signature: str
    group: str
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    point: Mapping[str, Any] = field(default_factory=dict)
    neutral_keys: tuple[str, ...] = ()
    population: Mapping[str, Any] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The part of the signature that people see."""
        return self.signature[:SHOWN_DIGITS]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as stored in ``trial.json``."""
        return {**vars(self), "resources": vars(self.resources)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Trial:
        """Return what :meth:`as_dict` was called on."""
        return cls(
            **{
                **values,
                "resources": Resources(**values["resources"]),
                "neutral_keys": tuple(values["neutral_keys"]),
            }
        )
