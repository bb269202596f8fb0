"""The annotation table in memory: one row per box."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from os2d.data.annotation import REQUIRED_COLUMNS, BoxRow
from os2d.errors import DataError


@dataclass(frozen=True)
class BoxColumns:
    """The columns of the table that are read for every image, N boxes.

    Args:
        rows_of_image: image id -> positions of its boxes.
        relative_xyxy: (N, 4).
        class_ids: (N,).
        difficult: (N,).
    """

    rows_of_image: Mapping[int, npt.NDArray[np.intp]]
    relative_xyxy: npt.NDArray[np.float64]
    class_ids: npt.NDArray[np.int64]
    difficult: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> BoxColumns:
        """Return the columns of a table."""
        image_ids = frame["imageid"].to_numpy(dtype="int64")
        by_image = image_ids.argsort(kind="stable")
        ids, starts = np.unique(image_ids[by_image], return_index=True)
        return cls(
            rows_of_image=dict(zip(ids.tolist(), np.split(by_image, starts[1:]), strict=len(ids) > 0)),
            relative_xyxy=frame[["lx", "ty", "rx", "by"]].to_numpy(dtype="float64"),
            class_ids=frame["classid"].to_numpy(dtype="int64"),
            difficult=frame["difficult"].to_numpy(dtype="int64") == 1,
        )

    def of_image(self, image_id: int) -> npt.NDArray[np.intp]:
        """Return the positions of the boxes of an image, in the order of the table."""
        return self.rows_of_image.get(image_id, np.zeros(0, dtype=np.intp))


def frame_of(rows: Sequence[BoxRow]) -> pd.DataFrame:
    """Return annotation rows as a table whose index is the line number in the file."""
    return pd.DataFrame(rows, columns=list(BoxRow._fields)).set_index("line")


def with_file_names(frame: pd.DataFrame, annotation: Path | None) -> pd.DataFrame:
    """Return a table with the columns of the file names, which may be left out where a file is called by its id.

    Raises:
        DataError: another column is missing.
    """
    missing = [c for c in REQUIRED_COLUMNS if c not in frame.columns]
    if missing:
        found = ", ".join(map(str, frame.columns))
        raise DataError(f"{annotation or 'annotation table'}: column {missing[0]!r} is missing; found {found}")
    added = {
        file: frame[id_].astype(str) + ".jpg"
        for id_, file in (("imageid", "imagefilename"), ("classid", "classfilename"))
        if file not in frame.columns
    }
    return frame.assign(**added)


def first_values(frame: pd.DataFrame, key: Hashable, value: Hashable) -> dict[int, str]:
    """Return the values of a column by an id, in the order in which the ids first appear."""
    first = frame.drop_duplicates(key)
    return {int(k): str(v) for k, v in zip(first[key], first[value], strict=True)}
