"""Drafts become trials: configurations resolved once per variant and point, and signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestration.describe import Point
from orchestration.expand import Draft, Key
from orchestration.resolve import Defaults, Members, changed_members, defaults_of
from orchestration.signature import PartialSignature, canonical_json
from orchestration.sweep_settings import population_of
from orchestration.trial_description import Trial


@dataclass(frozen=True)
class _ResolvedVariant:
    """What the points of one variant share."""

    defaults: Defaults
    overrides: dict[str, Any]
    members: Members
    identity: dict[str, str]


@dataclass(frozen=True)
class _Resolved:
    """What the seeds of one variant at one point share."""

    defaults: Defaults
    overrides: dict[str, Any]
    point: dict[str, Any]
    identity: PartialSignature
    fingerprints: dict[str, str]


class Signer:
    """Resolves and signs drafts; a draft comes after those it needs."""

    def __init__(self) -> None:
        self._trials: dict[Key, Trial] = {}
        self._resolved: dict[tuple[str, str, int], _Resolved] = {}
        self._variants: dict[tuple[str, str], _ResolvedVariant] = {}

    def trial(self, draft: Draft) -> Trial:
        """Return the trial of a draft."""
        resolved = self._resolve(draft)
        population = population_of(draft.experiment, draft.key.point)
        needs = {name: self._trials[need.key].signature for name, need in draft.needs.items()}
        seedless = {
            name: self._trials[need.key].group if need.by_seed else self._trials[need.key].signature
            for name, need in draft.needs.items()
        }
        trial = Trial(
            name=f"member{draft.key.point}-{draft.name}" if population else draft.name,
            experiment=draft.experiment.name,
            variant=draft.variant.name,
            task=draft.task,
            code_version=resolved.defaults.task.code_version,
            config=resolved.defaults.config(resolved.overrides, draft.key.seed),
            seed=draft.key.seed,
            resources=draft.experiment.resources,
            needs=needs,
            tags={**draft.experiment.tags, **draft.variant.tags},
            signature=resolved.identity.with_parts(
                {"needs": canonical_json(needs), "seed": canonical_json(draft.key.seed)}
            ),
            group=resolved.identity.with_parts({"needs": canonical_json(seedless)}),
            fingerprints=resolved.fingerprints,
            point=resolved.point,
            neutral_keys=resolved.defaults.neutral_keys,
            population=population,
        )
        self._trials[draft.key] = trial
        return trial

    def _resolve(self, draft: Draft) -> _Resolved:
        key = (draft.key.experiment, draft.key.variant, draft.key.point)
        if key not in self._resolved:
            self._resolved[key] = self._resolve_anew(draft)
        return self._resolved[key]

    def _resolve_anew(self, draft: Draft) -> _Resolved:
        variant = self._variants.get(draft.key[:2])
        if variant is None:
            variant = self._variants[draft.key[:2]] = _resolve_variant(draft)
        defaults = variant.defaults
        point = defaults.typed(draft.point, f"experiment {draft.experiment.name!r}, space")
        overrides = variant.overrides | point
        fingerprints = defaults.check(overrides, lambda: _place(draft) + _point_text(draft.point))
        config = ",".join(changed_members(variant.members, point).values())
        identity = {**variant.identity, "config": f"{{{config}}}", "fingerprints": canonical_json(fingerprints)}
        population = population_of(draft.experiment, draft.key.point)
        if population:
            identity["population"] = canonical_json(population)
        return _Resolved(defaults, overrides, point, PartialSignature(identity), fingerprints)


def _resolve_variant(draft: Draft) -> _ResolvedVariant:
    defaults = defaults_of(draft.task)
    overrides = defaults.typed(draft.experiment.config, f"experiment {draft.experiment.name!r}")
    overrides |= defaults.typed(draft.variant.config, _place(draft))
    identity = {"task": canonical_json(draft.task), "code_version": canonical_json(defaults.task.code_version)}
    return _ResolvedVariant(defaults, overrides, defaults.identity(overrides), identity)


def _point_text(point: Point) -> str:
    return f", point {', '.join(f'{key}={value!r}' for key, value in point.items())}" if point else ""


def _place(draft: Draft) -> str:
    return f"experiment {draft.experiment.name!r}, variant {draft.variant.name!r}"
