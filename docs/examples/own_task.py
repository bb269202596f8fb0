"""A task of your own, an experiment with it, and a table, in one file; seconds on a CPU.

    oneshot run docs/examples/own_task.py --launcher local

The task fits a line to noisy points by gradient descent: small enough to see what a task has to do.
"""

from __future__ import annotations

import random
from typing import Any

from orchestration.describe import Column, Experiment, Table, grid, seeds

DEFAULTS = {"random_seed": 0, "steps": 60, "noise": 0.1, "optim": {"lr": 0.3}, "output": {"path": ""}}


class FitLine:
    """The task: what planners ask of it, and the work itself."""

    code_version = "1"
    """Raise it when the same configuration gives other numbers than before; its trials then run anew."""
    seed_key = "random_seed"
    neutral_keys = ("output.",)
    """Keys, or beginnings of keys, that change no result; they are no part of a trial's identity."""

    def default_config(self) -> dict[str, Any]:
        """Return every key with its default; a fresh tree each time."""
        return {key: dict(value) if isinstance(value, dict) else value for key, value in DEFAULTS.items()}

    def validate(self, config: Any) -> None:
        """Refuse what cannot work, before anything starts; exit code 2 says that trying again does not help."""
        if config["optim"]["lr"] <= 0:
            raise WrongSettingError(f"optim.lr: expected a positive number, got {config['optim']['lr']}")

    def fingerprints(self, config: Any) -> dict[str, str]:
        """Return name -> hash of the files that are read; none here."""
        return {}

    def __call__(self, config: Any, run: Any) -> dict[str, float]:
        """Fit; log and save on the way, stop when asked to; return the final metrics."""
        points = draw_points(run.seed, config["noise"])
        state = dict(run.resume() or {"step": 0, "slope": 0.0, "offset": 0.0})
        while state["step"] < config["steps"]:
            if run.should_stop:
                run.save(state, state["step"])
                run.interrupt()
            errors = [state["slope"] * x + state["offset"] - y for x, y in points]
            gradient = [sum(e * x for e, (x, _) in zip(errors, points, strict=True)), sum(errors)]
            state["slope"] -= config["optim"]["lr"] * gradient[0] / len(points)
            state["offset"] -= config["optim"]["lr"] * gradient[1] / len(points)
            state["step"] += 1
            run.log({"loss": sum(e * e for e in errors) / len(points)}, state["step"])
            run.progress(state["step"], config["steps"])
            if state["step"] % 20 == 0:
                run.save(state, state["step"])
        run.artifact("line.txt", f"y = {state['slope']:.3f} x + {state['offset']:.3f}\n")
        return {"slope_error": abs(state["slope"] - 2.0)}


class WrongSettingError(Exception):
    """A value that cannot work."""

    exit_code = 2


def draw_points(seed: int, noise: float) -> list[tuple[float, float]]:
    """Return points near y = 2 x + 1; the same seed draws the same ones."""
    generator = random.Random(seed)
    return [(x / 20, 2 * x / 20 + 1 + generator.gauss(0, noise)) for x in range(-20, 21)]


task = FitLine()

rates = Experiment("rates", "own_task:task", space=grid({"optim.lr": [0.1, 0.3]}), seeds=seeds(3))
table = Table("rates", "A line through 41 points", rates, [Column("slope error", "slope_error", digits=3)])
