"""Measure results by CrowdHuman's rules: ``python baselines/onenet/crowdhuman_eval.py --result FILE --gt FILE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # by its path, Python looks for packages beside this file only
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from baselines.onenet.data.catalog import DatasetSource
from baselines.onenet.data.coco_file import read_coco
from baselines.onenet.evaluation.crowdhuman import crowdhuman_metrics
from baselines.onenet.evaluation.results import read_results
from os2d.errors import Os2dError


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the measures in percent and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--result", type=Path, required=True, help="coco_instances_results.json of an evaluation")
    parser.add_argument("--gt", type=Path, required=True, help="annotations in COCO's format")
    options = parser.parse_args(arguments)
    try:
        dataset = read_coco(DatasetSource(str(options.gt), options.gt, options.gt.parent))
        dataset.check_has_objects()
        metrics = crowdhuman_metrics(dataset, read_results(options.result))
    except Os2dError as e:
        print(f"error: {e}", file=sys.stderr)
        return e.exit_code
    for name, value in metrics.items():
        print(f"{name}: {value:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
