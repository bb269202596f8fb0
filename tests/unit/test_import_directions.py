"""Who imports whom: the contracts of ``pyproject.toml``, no cycles, and what heavy libraries nobody has to load."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("os2d", "baselines", "orchestration", "experiments")
LAUNCHERS_AND_TRACKERS = {"ray", "mlflow", "submitit"}
BACKWARDS = {
    ("os2d.detector.detector", "os2d.detector.networks"): "Detector.from_checkpoint is how a user gets a detector",
}
"""Imports inside a function that lead back -> why."""

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


def test_imports_keep_the_contracts() -> None:
    # In a process of its own: import-linter silences all loggers of its process.
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--config", "pyproject.toml", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def cycle_in(modules: Iterable[str], imports_of: Callable[[str], Iterable[str]]) -> list[str]:
    """Return modules that import each other in a circle; empty when there are none."""
    try:
        TopologicalSorter({module: imports_of(module) for module in modules}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    graph = grimp.build_graph(package, cache_dir=None)  # sees imports in functions and those for types alone
    for importer, imported in BACKWARDS:
        if importer.startswith(f"{package}."):
            assert graph.direct_import_exists(importer=importer, imported=imported), "nothing leads back here any more"
            graph.remove_import(importer=importer, imported=imported)
    assert not cycle_in(graph.modules, graph.find_modules_directly_imported_by)


def test_a_circle_is_found() -> None:
    imports = {"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}
    assert sorted(set(cycle_in(imports, imports.__getitem__))) == ["a", "b", "c"]
    assert cycle_in("ad", {"a": [], "d": ["a"]}.__getitem__) == []


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
