"""A task without a detector: it counts, logs, saves and resumes, and can be told to misbehave."""

import json
import os
import signal
import sys
import time
from hashlib import sha256
from pathlib import Path


class CountingError(Exception):
    exit_code = 2


class CountingTask:
    code_version = "1"
    seed_key = "random_seed"
    neutral_keys = ("runtime.",)

    def default_config(self):
        return {
            "random_seed": 0,
            "steps": 20,
            "factor": 1.5,
            "save_every": 5,
            "milestones": [5, 10],
            "scales": [0.5, 1],
            "note": "",
            "fail_at": -1,
            "data": "",
            "optim": {"lr": 0.1, "nesterov": False},
            "runtime": {"seconds_per_step": 0.0, "seconds_to_stop": 0.0, "failures_file": "", "kill_at": -1},
        }

    def validate(self, config):
        if config["steps"] < 0:
            raise CountingError(f"steps: expected 0 or more, got {config['steps']}")

    def fingerprints(self, config):
        if not config["data"]:
            return {}
        if not Path(config["data"]).exists():
            raise CountingError(f"data: there is no file {config['data']}")
        return {"data": sha256(Path(config["data"]).read_bytes()).hexdigest()}

    def __call__(self, config, run):
        state = dict(run.resume() or {"step": 0, "value": float(run.seed)})
        for need in run.inputs.values():
            state["value"] += (
                json.loads((need / "result.json").read_text())["metrics"]["value"] if not state["step"] else 0
            )
        while state["step"] < config["steps"]:
            if run.should_stop:
                time.sleep(config["runtime"]["seconds_to_stop"])
                run.save(state, state["step"])
                run.interrupt()
            self._misbehave(config, state["step"])
            time.sleep(config["runtime"]["seconds_per_step"])
            state["step"] += 1
            state["value"] = (state["value"] * config["factor"] + state["step"] * config["optim"]["lr"]) % 97
            run.log({"value": state["value"]}, state["step"])
            run.progress(state["step"], config["steps"])
            if state["step"] % config["save_every"] == 0:
                run.save(state, state["step"])
        print("counted to", state["step"])
        return {"value": state["value"]}

    def _misbehave(self, config, step):
        if config["note"] == "user error":
            raise CountingError(f"note: {config['note']!r} cannot be used")
        if step == config["fail_at"]:
            raise RuntimeError(f"told to fail at step {step}")
        failures = config["runtime"]["failures_file"]
        if failures and step == config["runtime"]["kill_at"] and not Path(failures).exists():
            Path(failures).write_text(str(os.getpid()))
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)


task = CountingTask()
