"""One run of trials through Ray by itself: ``python -m orchestration.bench.ray_side SIDE COUNT FOLDER``.

``ours`` is our launcher; ``actors`` is Tune as it is, with an actor process per trial; ``processes`` is Tune that
reuses its actors, which start a process per trial. The ends of all trials, in seconds, are left in ``ends.json``.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestration.bench.case import SOURCE, plan_of
from orchestration.bench.local import BARE
from orchestration.durable import to_json, write_whole
from orchestration.errors import LaunchError
from orchestration.launch import Halt
from orchestration.launch.machine import available_cpus
from orchestration.runs import Runs


def main() -> None:
    """Run the side that the command line names."""
    side, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    ends = _ours(count, folder) if side == "ours" else _bare(count, folder, starts_processes=side == "processes")
    if len(ends) != count:
        raise LaunchError(f"of {count} trials of the benchmark {len(ends)} ended")
    write_whole(folder / "ends.json", to_json(ends))


def _ours(count: int, folder: Path) -> list[float]:
    from orchestration.launch.ray.launcher import RayLauncher

    runs, trials = Runs(folder / "runs"), plan_of(count).trials
    for trial in trials:
        runs.create(trial)
        runs.ask(trial, (SOURCE,))
    RayLauncher().run(trials, runs, Halt())
    attempts = [runs.folder(trial.signature).last_attempt() for trial in trials]
    return [attempt.ended_ms / 1000 for attempt in attempts if attempt is not None and attempt.ended_ms is not None]


def _bare(count: int, folder: Path, starts_processes: bool) -> list[float]:
    from orchestration.launch.ray.launcher import ENVIRONMENT

    os.environ.update(ENVIRONMENT)
    import ray
    from ray import tune

    def trainable(config: Mapping[str, Any]) -> None:
        if starts_processes:
            subprocess.run(BARE, cwd=folder, check=True)
        tune.report({"end": time.time()})

    ray.init(num_cpus=available_cpus(), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    results = tune.Tuner(
        trainable,
        param_space={"index": tune.grid_search(list(range(count)))},
        tune_config=tune.TuneConfig(reuse_actors=starts_processes),
        run_config=tune.RunConfig(name="tune", storage_path=str(folder), verbose=0),
    ).fit()
    metrics = [results[k].metrics for k in range(len(results))]
    return [found["end"] for found in metrics if found and "end" in found]


if __name__ == "__main__":
    main()
