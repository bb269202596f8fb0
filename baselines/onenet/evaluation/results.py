"""What was found in the images of a data set, as COCO's evaluation wants it, and the file that others read.

Shapes: N detections of all images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from baselines.onenet.structures import Detections
from os2d.errors import DataError


@dataclass(frozen=True, eq=False)
class Results:
    """Detections under the ids of an annotation file; those of one image follow each other, best first.

    Args:
        image_ids_N: int64.
        category_ids_N: int64.
        boxes_xywh_N4: float64, in pixels of the original image.
        scores_N: float64.
    """

    image_ids_N: npt.NDArray[np.int64]
    category_ids_N: npt.NDArray[np.int64]
    boxes_xywh_N4: npt.NDArray[np.float64]
    scores_N: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores_N)

    @staticmethod
    def of(detections: Sequence[Detections], image_ids: Sequence[int], category_ids: Sequence[int]) -> Results:
        """Return the results of some images; what lies on a GPU is fetched in one piece, after all work."""
        if not detections:
            return Results.concatenated([])
        counts = [len(found) for found in detections]
        boxes_N4 = torch.cat([found.boxes_N4 for found in detections]).cpu()
        boxes_N4[:, 2:] -= boxes_N4[:, :2]
        classes_N = torch.cat([found.classes_N for found in detections]).cpu().numpy()
        return Results(
            image_ids_N=np.repeat(np.asarray(image_ids, dtype=np.int64), counts),
            category_ids_N=np.asarray(category_ids, dtype=np.int64)[classes_N],
            boxes_xywh_N4=boxes_N4.double().numpy(),
            scores_N=torch.cat([found.scores_N for found in detections]).double().cpu().numpy(),
        )

    @staticmethod
    def concatenated(parts: Sequence[Results]) -> Results:
        """Return the results of several processes as one, by ascending id of the images."""
        nothing = Results(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 4)), np.empty(0))
        everything = [nothing, *parts]
        ids_N = np.concatenate([part.image_ids_N for part in everything])
        order_N = np.argsort(ids_N, kind="stable")
        return Results(
            ids_N[order_N],
            np.concatenate([part.category_ids_N for part in everything])[order_N],
            np.concatenate([part.boxes_xywh_N4 for part in everything])[order_N],
            np.concatenate([part.scores_N for part in everything])[order_N],
        )

    def entries(self) -> list[dict[str, object]]:
        """Return an entry of a results file per detection."""
        columns = (self.image_ids_N, self.category_ids_N, self.boxes_xywh_N4, self.scores_N)
        return [
            {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}
            for image_id, category_id, box, score in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def write(self, path: Path) -> None:
        """Write a results file of COCO."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.entries()), encoding="utf-8")


def read_results(path: Path) -> Results:
    """Return the content of a results file of COCO.

    Raises:
        DataError: the file is missing or something else.
    """
    try:
        entries = json.loads(path.read_bytes())
        boxes_N4 = np.asarray([entry["bbox"] for entry in entries], dtype=np.float64).reshape(-1, 4)
        return Results.concatenated(
            [
                Results(
                    np.asarray([entry["image_id"] for entry in entries], dtype=np.int64),
                    np.asarray([entry["category_id"] for entry in entries], dtype=np.int64),
                    boxes_N4,
                    np.asarray([entry["score"] for entry in entries], dtype=np.float64),
                )
            ]
        )
    except FileNotFoundError as e:
        raise DataError(f"{path}: no such results file; an evaluation writes it below its OUTPUT_DIR") from e
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise DataError(
            f"{path}: is not a results file ({type(e).__name__}: {e}); expected a list of objects with image_id, "
            "category_id, bbox [x, y, width, height] and score"
        ) from e
