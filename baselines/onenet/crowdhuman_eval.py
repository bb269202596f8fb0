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
from os2d.command import exit_code_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the measures in percent and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--result", type=Path, required=True, help="coco_instances_results.json of an evaluation")
    parser.add_argument("--gt", type=Path, required=True, help="annotations in COCO's format")
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _measure(options.result, options.gt))


def _measure(result: Path, annotations: Path) -> None:
    dataset = read_coco(DatasetSource(str(annotations), annotations, annotations.parent))
    dataset.check_has_objects()
    for name, value in crowdhuman_metrics(dataset, read_results(result)).items():
        print(f"{name}: {value:.2f}")


if __name__ == "__main__":
    sys.exit(main())
