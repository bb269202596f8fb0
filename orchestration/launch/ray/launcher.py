"""Workers in a Ray cluster, with Ray Tune as the controller; only the modules of this package import ray.

Tune's own record of trials is never read back: it cannot extend a sweep, and it forgets; the trial folders are the
truth.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.ending import Outcome
from orchestration.errors import DescriptionError, LaunchError, ResourcesError
from orchestration.launch import Halt
from orchestration.launch.machine import available_cpus, chosen_gpus, require_fit
from orchestration.launch.ray.session_folders import session_folder, temporary_folder
from orchestration.launch.worker import STOP_SECONDS
from orchestration.resources import Resources
from orchestration.retry import BUDGETS
from orchestration.runs import Runs
from orchestration.signature import SHOWN_DIGITS
from orchestration.trial_description import Trial

if TYPE_CHECKING:
    from orchestration.launch.ray.trainable import Session
    from orchestration.launch.sweeps.contract import SweepRun

STARTS = 2
CONNECT_SECONDS = 10.0
GRACE_SECONDS = 7.0
KILL_SECONDS = 2.0
LOOK_SECONDS = 2.0
OBJECT_STORE_BYTES = 100_000_000  # nothing is passed through it; the default would take 30 % of the memory

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_kill_child_processes_on_worker_exit": "false",  # our workers notice by themselves, and save
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the driver has its own
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_MAX_PENDING_TRIALS_PG": "16",  # 1 for search algorithms, which learn from results; ours only orders
    "RAY_AIR_NEW_OUTPUT": "0",
}

ENVIRONMENT_OF_ACTORS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # tasks run in the directory of the driver
    # A pruned trial keeps its place until its worker has saved. Tune gives the next trial up where that takes longer.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": f"{STOP_SECONDS + 10:.0f}",
}
"""What Tune reads where trials run: there before a cluster of our own starts, sent along to another one."""

SWEEP_ENVIRONMENT = {
    "TUNE_MAX_PENDING_TRIALS_PG": "1",  # a point is chosen when there is room for it, and not before
}


class RayLauncher:
    """Runs trials in a Ray cluster.

    Args:
        cpus: cores of the local cluster; None: all that this process may use.
        gpus: cards of the local cluster; None: all that are visible.
        slots: how many trials at a time; None: as many as fit.
        address: of a cluster that runs already; it decides what there is.
    """

    outlives_driver = False

    def __init__(
        self,
        cpus: float | None = None,
        gpus: int | None = None,
        slots: int | None = None,
        address: str | None = None,
    ) -> None:
        if cpus is not None and cpus != int(cpus):
            raise ResourcesError(f"--cpus {cpus:g}: a Ray cluster has whole cores; trials may take a part of one")
        self._address = address
        self._slots = slots
        self._cpus = int(cpus) if cpus is not None else available_cpus()
        self._gpus = 0 if address else len(chosen_gpus(gpus))

    def check(self, trials: Sequence[Trial]) -> None:
        """Refuse trials that the cluster can never run; an existing one is asked once it is joined."""
        if self._address is None:
            require_fit(trials, [(self._cpus, self._gpus)], "this launcher")
        elif ":" in self._address:
            _require_answer(self._address)

    def run(self, trials: Sequence[Trial], runs: Runs, halt: Halt) -> dict[str, str]:
        """Run the trials; each starts as soon as what it needs is done and the cluster has room."""
        with session_folder(runs) as folder, self._cluster(folder, trials):
            from orchestration.launch.ray.order import NeedsFirst
            from orchestration.launch.ray.trainable import Session

            session = Session(folder)
            wanted = {str(runs.folder(trial.signature).path): trial.resources for trial in trials}
            if not halt.asked:
                order = NeedsFirst(trials, runs, session)
                settings = {"num_samples": len(trials), "max_concurrent_trials": self._slots}
                self._fit(lambda: _tuner(wanted.__getitem__, session, search_alg=order, **settings), session, halt)
            return session.reasons()

    def run_sweep(self, run: SweepRun, runs: Runs, halt: Halt) -> dict[str, str]:
        """Start trials as a sweep says, until it is finished."""
        with session_folder(runs) as folder, self._cluster(folder, run.trials):
            from orchestration.launch.ray.sweep import Decisions, NextTrials, rule_of, trials_at_a_time
            from orchestration.launch.ray.trainable import Session

            session = Session(folder)
            os.environ.update(SWEEP_ENVIRONMENT)
            resources = run.sweep.resources
            run.begin(rule_of(run.sweep))
            settings = {
                "search_alg": NextTrials(run, runs, session),
                "scheduler": Decisions(run),
                "num_samples": -1,  # as many as it names
                "max_concurrent_trials": trials_at_a_time(resources, self._slots),
            }
            if not halt.asked and not run.is_finished:
                self._fit(lambda: _tuner(lambda folder: resources, session, **settings), session, halt)
            return session.reasons()

    def _fit(self, tuner: Callable[[], Any], session: Session, halt: Halt) -> None:
        failure: list[BaseException] = []

        def fit() -> None:
            try:
                tuner().fit()
            except BaseException as error:
                failure.append(error)

        # In a thread, so that the driver stays in charge of signals: `fit` cannot be ended from outside otherwise.
        thread = threading.Thread(target=fit, name="tune", daemon=True)
        with _quiet(session.folder / "tune.log"):
            thread.start()
            node = _Node()
            while thread.is_alive() and not halt.asked:
                thread.join(0.2)
                node.require_life()
            if halt.asked:
                session.ask_to_stop()
                _join(thread, GRACE_SECONDS, halt)
                session.kill()
                thread.join(KILL_SECONDS)
        if failure and not halt.asked:
            raise LaunchError(f"Ray Tune failed: {type(failure[0]).__name__}: {failure[0]}") from failure[0]

    @contextlib.contextmanager
    def _cluster(self, session: Path, trials: Sequence[Trial]) -> Iterator[None]:
        """Start a cluster of our own, or join the one at the address."""
        os.environ.update({**ENVIRONMENT, **ENVIRONMENT_OF_ACTORS})
        if self._address is None:
            # An open port without a token runs anybody's code; in the environment, Ray leaves no file at home.
            os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _own_token()})
        import ray

        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        settings: dict[str, Any] = {
            "address": self._address or "local",
            "log_to_driver": False,
            "logging_level": "ERROR",
        }
        with contextlib.ExitStack() as stack:
            if self._address is None:
                settings |= {
                    "num_cpus": self._cpus,
                    "num_gpus": self._gpus,
                    "include_dashboard": False,
                    "object_store_memory": OBJECT_STORE_BYTES,
                    "_temp_dir": stack.enter_context(temporary_folder()),
                }
            else:
                settings["runtime_env"] = {"env_vars": _shared_environment()}
            stack.callback(ray.shutdown)
            with _quiet(session / "ray.log"):
                self._connect(settings)
            for number, handler in handlers.items():  # ray.init installs its own
                signal.signal(number, handler)
            if self._address is not None:
                nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
                offers = [(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes]
                require_fit(trials, offers, f"the largest machine of the cluster {self._address}")
            yield

    def _connect(self, settings: Mapping[str, Any]) -> None:
        """Call ``ray.init``; a cluster of our own is started twice, because Ray waits for it no more than 30 s."""
        import ray

        tries = 1 if self._address else STARTS
        for left in reversed(range(tries)):
            try:
                ray.init(**settings)
                return
            except Exception as error:  # a plain one where the start took too long
                ray.shutdown()
                if self._address:
                    raise LaunchError(
                        f"there is no Ray cluster at {self._address}, or it does not answer: {error}"
                    ) from error
                if not left:
                    raise LaunchError(
                        f"Ray does not start on this machine, in {tries} tries; run the same command again, or use "
                        f"--launcher local: {error}"
                    ) from error


@lru_cache(maxsize=1)
def _own_token() -> str:
    """Return the token of the clusters that this process starts, one after another: Ray reads it once and keeps it."""
    return secrets.token_hex(24)


def _tuner(resources_of: Callable[[str], Resources], session: Session, **settings: Any) -> Any:
    """Return Tune for the trials that its search algorithm names; ``resources_of`` takes the folder of a trial."""
    from ray import tune

    from orchestration.launch.ray.multi_node import bundles
    from orchestration.launch.ray.trainable import run_trial

    def resources(config: Mapping[str, Any]) -> Any:
        return bundles(resources_of(config["folder"]))

    return tune.Tuner(
        tune.with_resources(run_trial, resources),
        tune_config=tune.TuneConfig(
            reuse_actors=True,  # seven times faster for short trials; each trial is a process of its own anyway
            trial_dirname_creator=lambda trial: f"{Path(trial.config['folder']).name[:SHOWN_DIGITS]}-{trial.trial_id}",
            **settings,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(session.folder),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=BUDGETS[Outcome.NODE_FAIL][1]),
        ),
    )


def _shared_environment() -> dict[str, str]:
    """Return what trials on other machines need of this one's environment; a cluster of our own inherits all of it."""
    ours = {name: value for name, value in os.environ.items() if name == "PYTHONPATH" or name.startswith("ONESHOT_")}
    return {**ENVIRONMENT_OF_ACTORS, **ours}


class _Node:
    """The node of the cluster that this process belongs to; when its raylet dies, Tune waits for ever."""

    def __init__(self) -> None:
        import ray

        self._id = ray.get_runtime_context().get_node_id()
        self._next_look = 0.0

    def require_life(self) -> None:
        """Raise :class:`LaunchError` when the node is gone; looks now and then only."""
        import ray

        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        if not any(node["NodeID"] == self._id and node["Alive"] for node in ray.nodes()):
            raise LaunchError(
                "the Ray cluster has lost the machine of this launch (its raylet died); the workers save and stop, "
                "and the same command continues"
            )


def _join(thread: threading.Thread, seconds: float, halt: Halt) -> None:
    """Wait for a thread, but not after somebody lost patience."""
    deadline = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < deadline and not halt.forced:
        thread.join(0.1)


def _require_answer(address: str) -> None:
    """Raise :class:`LaunchError` when nobody listens there: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if "/" in host or not port.isdigit():
        raise DescriptionError(f"--address {address}: expected host:port of the cluster's head, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise LaunchError(
            f"there is no Ray cluster at {address} ({error}); start one with `ray start --head --port={port}`"
        ) from error


@contextlib.contextmanager
def _quiet(log: Path) -> Iterator[None]:
    """Keep what Ray prints, boxes and tracebacks with colour codes, out of the terminal."""
    with log.open("a") as stream, contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        yield
