"""Curves of trainings: ``python -m os2d.visualization.training_curves --log_path DIR --log_names NAME...``.

Every series of ``DIR/NAME/train_log.pkl`` is drawn against the iteration and against the hours since the start, all
trainings in one picture, ``DIR/training_curves.png``; what was not measured is left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from os2d.errors import Os2dError
from os2d.train_log import ITER, TIME, Columns, read_train_log

AXES = {ITER: "iteration", TIME: "hours"}


def training_curves(logs: Mapping[str, Columns]) -> Figure:
    """Return a picture with a row per series and a column per axis."""
    names = list(dict.fromkeys(name for log in logs.values() for name in log if name not in AXES))
    figure = Figure(figsize=(12, max(2.5 * len(names), 2.5)), layout="constrained")
    FigureCanvasAgg(figure)
    for row, name in enumerate(names):
        for column, (axis, label) in enumerate(AXES.items()):
            plot = figure.add_subplot(len(names), len(AXES), len(AXES) * row + column + 1)
            for training, log in logs.items():
                points = [(x, y) for x, y in zip(log[axis], log.get(name, []), strict=False) if not isnan(y)]
                plot.plot([x for x, _ in points], [y for _, y in points], marker=".", label=training)
            plot.set_title(name, fontsize="small")
            plot.set_xlabel(label)
            if row == 0 and column == 0:
                plot.legend(fontsize="small")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the curves and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log_path", type=Path, required=True, metavar="DIR", help="folder of the trainings")
    parser.add_argument("--log_names", nargs="+", required=True, metavar="NAME", help="their folders inside")
    options = parser.parse_args(arguments)
    try:
        figure = training_curves({name: read_train_log(options.log_path / name) for name in options.log_names})
    except Os2dError as e:
        print(f"error: {e}", file=sys.stderr)
        return e.exit_code
    path = options.log_path / "training_curves.png"
    figure.savefig(path)
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
