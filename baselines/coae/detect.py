"""Find the objects of some class images in one image, with a trained CoAE.

``python -m baselines.coae.detect --weights best_model_1.pth --image shelf.jpg --query tea.jpg soap.jpg``

``oneshot detect`` does the same for every network, for several images and for videos.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from baselines.coae.command_line import add_common_flags, config_of, run_command
from baselines.coae.config_check import check_values
from baselines.coae.detector import CoAEDetector
from os2d.data.images import read_image
from os2d.detector.outputs import save_picture
from os2d.device import prepare_device
from os2d.visualization.found_objects import colours_of, draw_found


def main(arguments: Sequence[str] | None = None) -> int:
    """Detect and return the exit code: 0 done, 2 something to correct."""
    return run_command(_detect, arguments)


def _detect(arguments: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(prog="detect", description=__doc__, allow_abbrev=False)
    add_common_flags(parser)
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="a checkpoint of a training")
    parser.add_argument("--image", type=Path, required=True, metavar="FILE")
    parser.add_argument("--query", type=Path, nargs="+", required=True, metavar="FILE", help="class images")
    parser.add_argument("--threshold", type=float, default=0.5, help="what is told has a higher score")
    parser.add_argument("--output", type=Path, metavar="FILE.png", help="draw what is found")
    options = parser.parse_args(arguments)
    config = config_of(options, {"init.model": str(options.weights)})
    check_values(config)
    image, queries = read_image(options.image), {str(path): read_image(path) for path in options.query}
    detector = CoAEDetector.from_config(config, options.weights, prepare_device(config))
    found = detector.detect(image, queries, threshold=options.threshold)
    for one in found:
        print(json.dumps({"query": one.label, "score": one.score, "box_xyxy": one.box_xyxy}))
    if options.output:
        save_picture(draw_found(image, found, colours_of(list(queries))), options.output)


if __name__ == "__main__":
    sys.exit(main())
