"""Write CrowdHuman's annotations in COCO's format: ``python baselines/onenet/convert_crowdhuman_to_coco.py``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # by its path, Python looks for packages beside this file only
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from baselines.onenet.config import default_config
from baselines.onenet.data.catalog import data_root
from baselines.onenet.data.odgt import convert_odgt
from os2d.command import exit_code_of
from os2d.whole_file import whole_file


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert the splits and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        help="folder with annotation_SPLIT.odgt and CrowdHuman_SPLIT; default: crowdhuman in $DETECTRON2_DATASETS",
    )
    parser.add_argument("--splits", nargs="+", default=["val", "train"], metavar="SPLIT")
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _convert(options.root, options.splits))


def _convert(root: Path | None, splits: Sequence[str]) -> None:
    root = root or data_root(default_config()) / "crowdhuman"
    for split in splits:
        content = convert_odgt(root / f"annotation_{split}.odgt", root / f"CrowdHuman_{split}")
        target = root / "annotations" / f"{split}.json"
        target.parent.mkdir(exist_ok=True)
        with whole_file(target) as unfinished:
            unfinished.write_text(json.dumps(content), encoding="utf-8")
        print(f"{target}: {len(content['images'])} images, {len(content['annotations'])} boxes")


if __name__ == "__main__":
    sys.exit(main())
