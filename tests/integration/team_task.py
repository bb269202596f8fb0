"""A task of several processes without a detector: all add up what each counts, and each can be told to misbehave."""

import os
import signal
import time
from datetime import timedelta

import torch
import torch.distributed as dist

from tests.integration.counting_task import CountingTask


class TeamTask(CountingTask):
    def default_config(self):
        config = super().default_config()
        config["runtime"] |= {"culprit": -1, "deed": "", "deed_at": -1}
        return config

    def __call__(self, config, run):
        state = dict(run.resume() or {"step": 0, "value": 0.0})
        print(f"process {run.rank} of {run.world_size}, card {os.environ.get('LOCAL_RANK')}, from {state['step']}")
        if run.world_size > 1:
            dist.init_process_group("gloo", timeout=timedelta(seconds=300))
        while state["step"] < config["steps"]:
            if run.should_stop:
                run.save(state, state["step"])
                run.interrupt()
            self._misbehave_together(config["runtime"], state["step"], run.rank)
            time.sleep(config["runtime"]["seconds_per_step"])
            state["step"] += 1
            summand = torch.tensor([float(state["step"] * (run.rank + 1))], dtype=torch.float64)
            if run.world_size > 1:
                dist.all_reduce(summand)
            state["value"] = (state["value"] * config["factor"] + summand.item()) % 97
            run.log({"value": state["value"]}, state["step"])
            run.progress(state["step"], config["steps"])
            if state["step"] % config["save_every"] == 0:
                run.save(state, state["step"])
        return {"value": state["value"]}

    def _misbehave_together(self, runtime, step, rank):
        if rank != runtime["culprit"] or step != runtime["deed_at"]:
            return
        if runtime["deed"] == "raise":
            raise RuntimeError(f"process {rank} was told to fail")
        if runtime["deed"] == "hang":
            time.sleep(1000)
        if runtime["deed"] == "die":
            os.kill(os.getpid(), signal.SIGKILL)


task = TeamTask()
