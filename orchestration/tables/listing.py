"""Tables as lists of cells, for programs: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json

from orchestration.tables.result import TableResult

CSV_FIELDS = (
    "table",
    "row",
    "column",
    "mean",
    "std",
    "n",
    "state",
    "wanted",
    "over",
    "statistic",
    "reason",
    "published",
    "published_source",
    "published_note",
    "published_status",
    "published_given_in",
    "difference",
    "see",
    "p",
    "compared_with",
    "address",
)


def to_csv(result: TableResult) -> str:
    """Return one line per cell with the fields of the JSON form."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(result.as_json())
    return stream.getvalue()


def to_json(result: TableResult) -> str:
    """Return the cells as a JSON list."""
    return json.dumps(result.as_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
