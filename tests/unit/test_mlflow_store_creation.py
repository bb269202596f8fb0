import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

OPEN_WITH_LITTLE_SPACE = """
import resource, signal, sys
from pathlib import Path
from orchestration.tracking.mlflow_store import MlflowStore
from orchestration.tracking.store_location import StoreError, StoreLocation

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
location = StoreLocation.resolve(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    MlflowStore(location)
except StoreError as error:
    print("refused", sorted(path.name for path in Path(sys.argv[1]).glob("*mlflow.db*")))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
MlflowStore(location).require_experiment("e")
print("opened", MlflowStore(location).experiment_id("e") is not None)
"""


def test_a_disk_that_fills_up_leaves_no_half_made_store(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN_WITH_LITTLE_SPACE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["refused ['mlflow.db.lock']", "opened True"]
