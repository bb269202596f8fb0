"""Which pictures match: pairs to learn from, and what a query of a test should find.

Numbers count the crops first, then the class images. Shapes: R random crops and G objects of an image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from random import Random

import torch
from torch import Tensor

from baselines.detector_retrieval.retrieval.crops import NO_CLASS, Box, Crop, Kind
from baselines.detector_retrieval.retrieval.ranking import Relevance
from os2d.structures.boxes import box_iou


@dataclass(frozen=True)
class Overlap:
    """When a random crop shows an object.

    Args:
        positive: above this IoU it is a picture of the object's class.
        negative: above this IoU it is not a negative of that class either.
    """

    positive: float = 0.7
    negative: float = 0.3


@dataclass(frozen=True)
class Pairs:
    """What a network learns from: a cluster per picture, inside which nothing is a negative, and matching pairs."""

    clusters: list[int]
    queries: list[int] = field(default_factory=list)
    positives: list[int] = field(default_factory=list)

    def add(self, query: int, positive: int) -> None:
        """Add a pair."""
        self.queries.append(query)
        self.positives.append(positive)


@dataclass(frozen=True)
class Query:
    """A picture to search with, its box, and what it should find."""

    crop: Crop
    box_xyxy: Box
    relevance: Relevance


def training_pairs(
    crops: Sequence[Crop], classes: Sequence[Crop], overlap: Overlap, per_object: int, rng: Random
) -> Pairs:
    """Return the pairs of a training set, crop by crop.

    A class image is paired with each of its objects that is not difficult, and with random crops that show one. Without
    a class image, such a crop is paired with some object of the class.

    Args:
        crops: of all images, image by image.
        classes: the class images.
        overlap: when a random crop shows an object.
        per_object: every object is also paired with at most so many others of its class.
        rng: chooses those.
    """
    class_image = {crop.class_id: len(crops) + k for k, crop in enumerate(classes)}
    of_class: dict[int, list[int]] = defaultdict(list)
    for number, crop in enumerate(crops):
        of_class[crop.class_id].append(number)
    pairs = Pairs([crop.class_id for crop in (*crops, *classes)])
    shown = _shown_objects(crops, overlap)
    for number, crop in enumerate(crops):
        if crop.kind is Kind.RANDOM:
            _pair_random_crop(pairs, number, shown.get(number, _NOTHING), class_image, of_class, rng)
        elif not crop.difficult:
            if crop.class_id in class_image:
                pairs.add(class_image[crop.class_id], number)
            for other in _chosen(set(of_class[crop.class_id]) - {number}, per_object, rng) if per_object else ():
                pairs.add(number, other)
    return pairs


def evaluation_queries(
    crops: Sequence[Crop], classes: Sequence[Crop], overlap: Overlap, per_object: int, rng: Random
) -> list[Query]:
    """Return the queries of a test and the numbers of the crops they should find.

    Every class image is a query; with ``per_object`` so are at most so many objects of every class, which do not find
    themselves.
    """
    found = [_OpenQuery(crop, crop.box_xyxy) for crop in classes]
    of_class: dict[int, list[_OpenQuery]] = defaultdict(list)
    for query in found:
        of_class[query.crop.class_id].append(query)
    for query in _object_queries(crops, per_object, rng):
        of_class[query.crop.class_id].append(query)
        found.append(query)
    shown = _shown_objects(crops, overlap)
    for number, crop in enumerate(crops):
        if crop.kind is Kind.OBJECT:
            for query in of_class.get(crop.class_id, ()):
                query.takes(number, is_match=not crop.difficult and query.crop is not crop)
            continue
        seen = shown.get(number, _NOTHING)
        for class_id, is_match in zip(seen.class_ids, seen.is_positive, strict=True):
            for query in of_class.get(class_id, ()):
                query.takes(number, is_match)
    return [Query(query.crop, query.box_xyxy, Relevance(query.ok, query.junk)) for query in found]


@dataclass(frozen=True)
class _OpenQuery:
    crop: Crop
    box_xyxy: Box
    ok: list[int] = field(default_factory=list)
    junk: list[int] = field(default_factory=list)

    def takes(self, number: int, is_match: bool) -> None:
        (self.ok if is_match else self.junk).append(number)


def _object_queries(crops: Sequence[Crop], per_class: int, rng: Random) -> list[_OpenQuery]:
    """Return objects to search with, whose box is that of their own picture."""
    of_class: dict[int, list[Crop]] = defaultdict(list)
    for crop in crops if per_class else ():
        if crop.class_id != NO_CLASS and not crop.difficult:
            of_class[crop.class_id].append(crop)
    queries = []
    for members in of_class.values():
        order = {id(crop): k for k, crop in enumerate(members)}
        chosen = rng.sample(members, per_class) if len(members) > per_class else members
        for crop in sorted(chosen, key=lambda crop: order[id(crop)]):
            left, top, right, bottom = crop.box_xyxy
            queries.append(_OpenQuery(crop, (0, 0, right - left, bottom - top)))
    return queries


@dataclass(frozen=True)
class _Shown:
    """Classes of the objects that a random crop overlaps, in the order of the objects, and whether by enough."""

    class_ids: list[int]
    is_positive: list[bool]


_NOTHING = _Shown([], [])


def _shown_objects(crops: Sequence[Crop], overlap: Overlap) -> dict[int, _Shown]:
    """Return number of a random crop -> what it shows, for those that show something."""
    of_image: dict[int | None, dict[Kind, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, crop in enumerate(crops):
        of_image[crop.image_id][crop.kind].append(number)
    shown: dict[int, _Shown] = {}
    for kinds in of_image.values():
        objects, randoms = kinds[Kind.OBJECT], kinds[Kind.RANDOM]
        if not objects or not randoms:
            continue
        iou_RG = box_iou(_boxes(crops, randoms), _boxes(crops, objects))
        for number, iou_G in zip(randoms, iou_RG, strict=True):
            overlapped = (iou_G > overlap.negative).nonzero().flatten().tolist()
            if overlapped:
                is_positive = (iou_G[overlapped] > overlap.positive).tolist()
                shown[number] = _Shown([crops[objects[g]].class_id for g in overlapped], is_positive)
    return shown


def _boxes(crops: Sequence[Crop], numbers: Sequence[int]) -> Tensor:
    return torch.tensor([crops[number].box_xyxy for number in numbers], dtype=torch.float32)


def _pair_random_crop(
    pairs: Pairs,
    number: int,
    shown: _Shown,
    class_image: dict[int, int],
    of_class: dict[int, list[int]],
    rng: Random,
) -> None:
    """Give a random crop the cluster of what it shows, the last such object wins, and pair it."""
    for class_id in shown.class_ids:
        if class_id in class_image:
            pairs.clusters[number] = class_id
    for class_id, is_positive in zip(shown.class_ids, shown.is_positive, strict=True):
        if not is_positive:
            continue
        pairs.clusters[number] = class_id
        query = class_image[class_id] if class_id in class_image else rng.sample(list(set(of_class[class_id])), 1)[0]
        pairs.add(query, number)


def _chosen(candidates: Collection[int], count: int, rng: Random) -> list[int]:
    """Return at most ``count`` of a set, drawn from it in the order in which Python visits it.

    The published program draws so; whole numbers are visited in the same order everywhere.
    """
    listed = list(candidates)
    return rng.sample(listed, count) if len(listed) > count else listed
