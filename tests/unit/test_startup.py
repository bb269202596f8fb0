"""What a worker and the quick commands load: import weight, because time depends on the machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.describe import Experiment
from orchestration.plan import plan
from orchestration.runs import Runs

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    *("torch", "torchvision", "numpy", "scipy", "pandas", "matplotlib", "PIL", "yacs"),
    *("ray", "mlflow", "submitit", "sqlalchemy", "alembic", "jinja2", "requests", "urllib3"),
}
TERMINAL = {"rich", "typer", "click", "shellingham"}
PLANNING = {"orchestration.describe", "orchestration.plan", "orchestration.spaces"}
OTHERS = {"psutil", "filelock", "asyncio", "multiprocessing", "importlib.metadata", "ssl"}
WORKER_HAS_NO = HEAVY | TERMINAL | PLANNING | OTHERS

SPY = """
import sys
from orchestration.bench.tasks import Nothing

class Spy(Nothing):
    def __call__(self, config, run):
        run.artifact("modules.txt", "\\n".join(sys.modules))
        return super().__call__(config, run)

task = Spy()
"""

COMMAND = """
import sys
sys.argv = ["oneshot", *{arguments!r}]
from orchestration.cli import main
try:
    main()
finally:
    print("\\n".join(sys.modules), file=sys.stderr)
"""


def environment(*paths):
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *paths)))}


def test_a_worker_loads_only_what_a_worker_needs(tmp_path, monkeypatch):
    (tmp_path / "spying.py").write_text(SPY)
    monkeypatch.syspath_prepend(str(tmp_path))
    (trial,) = plan([Experiment("e", "spying:task")]).trials
    folder = Runs(tmp_path / "runs").create(trial)
    command = [sys.executable, "-m", "orchestration.trial", str(folder.path)]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set((folder.artifacts / "modules.txt").read_text().split())
    assert "orchestration.trial_run" in loaded
    assert not WORKER_HAS_NO & loaded


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["status", "--json"], ["plan", "file.py"]])
def test_quick_commands_load_no_heavy_library(arguments, tmp_path):
    (tmp_path / "spying.py").write_text(SPY)
    (tmp_path / "file.py").write_text(
        "from orchestration.describe import Experiment\ne = Experiment('e', 'spying:task')\n"
    )
    command = [sys.executable, "-c", COMMAND.format(arguments=arguments)]
    done = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stderr.split())
    if "--json" in arguments:
        assert json.loads(done.stdout) == []
