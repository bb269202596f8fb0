import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCHERS_AND_TRACKERS = {"ray", "mlflow", "submitit"}
FORBIDDEN = {
    "os2d": {"orchestration", "baselines", "experiments", *LAUNCHERS_AND_TRACKERS},
    "baselines": {"orchestration", "experiments", *LAUNCHERS_AND_TRACKERS},
    "orchestration": {"os2d", "baselines", "experiments"},
}
"""Package -> what none of its files may import."""

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(name + " is not installed", name=name)

sys.meta_path.insert(0, Absent())
import {package}
for module in pkgutil.walk_packages({package}.__path__, "{package}."):
    importlib.import_module(module.name)
print("torch" in sys.modules)
"""


def imported_packages(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = {str(f.relative_to(ROOT)): bad for f in files if (bad := imported_packages(f) & FORBIDDEN[package])}
    assert not wrong


def test_os2d_works_without_launchers_and_trackers() -> None:
    script = IMPORT_EVERYTHING.format(package="os2d", absent=LAUNCHERS_AND_TRACKERS)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"]


@pytest.mark.parametrize("module", ["os2d.tasks", "orchestration.cli", "orchestration.plan", "orchestration.trial"])
def test_planners_and_workers_start_without_heavy_libraries(module: str) -> None:
    heavy = {"torch", "torchvision", *LAUNCHERS_AND_TRACKERS}
    script = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
