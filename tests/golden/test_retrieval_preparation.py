import json
import random

import numpy as np
import pytest
import torch
from golden_cases import Case, Golden

from baselines.detector_retrieval.retrieval.crops import Crop, Kind, path_of, random_boxes
from baselines.detector_retrieval.retrieval.pairs import Overlap, evaluation_queries, training_pairs
from os2d.structures.sizes import Size

PREPARED = "baselines/retrieval_prepare_dataset.npz"


def crops_of_case(case: Case) -> list[Crop]:
    """The crops of the toy annotation, as the data set would yield them."""
    crops = []
    for k, (image_id, (height, width)) in enumerate(zip(case["image_ids"].tolist(), case["image_hw"], strict=True)):
        rows = case[f"f64_gt_{k}"]
        boxes = rows[:, :4].astype(np.float32).tolist()
        for number, (box, (class_id, difficult)) in enumerate(zip(boxes, rows[:, 4:].astype(int), strict=True)):
            crops.append(Crop(Kind.OBJECT, int(class_id), tuple(box), image_id, number, bool(difficult)))
        drawn = random_boxes(
            torch.from_numpy(case[f"rand_{k}"]), Size(int(width), int(height)), float(case["eval_scale"])
        )
        crops += [Crop(Kind.RANDOM, -1, tuple(b), image_id, n, False) for n, b in enumerate(drawn.tolist(), len(rows))]
    return crops


def class_images_of_case(case: Case) -> list[Crop]:
    sizes = json.loads(str(case["class_images_wh"]))
    return [Crop(Kind.CLASS, int(class_id), (0, 0, width, height)) for class_id, (width, height) in sizes.items()]


@pytest.mark.reads(PREPARED)
def test_crops_pairs_and_relevance(golden: Golden) -> None:
    case = golden(PREPARED)
    crops, classes = crops_of_case(case), class_images_of_case(case)

    assert [crop.id for crop in crops] == json.loads(str(case["db_cids"]))
    assert [crop.kind.type for crop in crops] == json.loads(str(case["db_type"]))
    np.testing.assert_allclose([crop.box_xyxy for crop in crops], case["db_bbox"], rtol=1e-6)
    np.testing.assert_array_equal([crop.size for crop in crops], case["db_size"])
    assert [crop.id for crop in classes] == json.loads(str(case["class_cids"]))
    files = {f"ims/{path_of(crop.id)}" for crop in (*crops, *classes)}
    assert set(json.loads(str(case["example_files"]))) <= files

    overlap = Overlap(float(case["iou_pos"]), float(case["iou_neg"]))
    pairs = training_pairs(crops, classes, overlap, 0, random.Random(int(case["python_seed"])))
    assert pairs.clusters == case["train_cluster"].tolist()
    assert pairs.queries == case["train_qidxs"].tolist()
    assert pairs.positives == case["train_pidxs"].tolist()

    queries = evaluation_queries(crops, classes, overlap, 0, random.Random(0))
    expected = json.loads(str(case["test_gnd"]))
    assert [list(query.box_xyxy) for query in queries] == [entry["bbx"] for entry in expected]
    assert [query.relevance.ok for query in queries] == [entry["ok"] for entry in expected]
    assert [query.relevance.junk for query in queries] == [entry["junk"] for entry in expected]
    assert [path_of(crop.id) for crop in crops] == json.loads(str(case["test_imlist"]))
    assert [path_of(query.crop.id) for query in queries] == json.loads(str(case["test_qimlist"]))
