"""The doctor reports what is wrong and never fails itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.distributed.node import free_port
from orchestration.doctor import checkup, machine
from orchestration.doctor import slurm as doctor_slurm
from orchestration.doctor.checkup import run_doctor, worst_status

REPOSITORY = Path(__file__).resolve().parents[2]


def by_name(checks):
    return {check.name: check for check in checks}


def test_a_working_machine_passes(tmp_path):
    checks = by_name(run_doctor(tmp_path / "runs", data_root=tmp_path))

    assert {"cuda", "memory", "disk space", "slurm"} <= set(checks)
    for name in ("python", "source", "torch", "torchvision", "ray", "mlflow", "runs folder", "tracking store"):
        assert checks[name].status == "ok", checks[name]
    for name in ("data sets", "weights", "clock", "file system"):
        assert checks[name].status == "ok", checks[name]
    assert not (tmp_path / "runs").exists(), "looking changes nothing"
    json.dumps([check.as_json() for check in checks.values()])


def test_it_runs_without_torch_ray_and_mlflow(tmp_path):
    code = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "ray", "mlflow"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import importlib.util
original = importlib.util.find_spec
def find_spec(name, package=None):
    try:
        return original(name, package)
    except ModuleNotFoundError:
        return None
importlib.util.find_spec = find_spec
from pathlib import Path
from orchestration.doctor.checkup import run_doctor
for check in run_doctor(Path({str(tmp_path)!r})):
    print(check.name, check.status, check.advice, sep="|")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)

    status = {line.split("|")[0]: line.split("|")[1] for line in ended.stdout.splitlines()}
    assert status["torch"] == "error"
    assert status["ray"] == status["mlflow"] == status["tracking store"] == "warning"
    assert "torch|error|pip install torch torchvision" in ended.stdout


@pytest.fixture
def torchvision_of_another_build(tmp_path, monkeypatch):
    """A torchvision whose compiled operators are missing, as when torch was replaced by a build from elsewhere."""
    package = tmp_path / "site" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


@pytest.mark.usefixtures("torchvision_of_another_build")
def test_a_torchvision_that_does_not_fit_torch_is_explained():
    found = by_name(checkup.check_torch())

    assert found["torch"].status == "ok"
    assert found["torchvision"].status == "error"
    assert "torchvision::nms does not exist" in found["torchvision"].detail
    assert "pip install --force-reinstall torch torchvision" in found["torchvision"].advice


def test_an_old_python_is_an_error():
    assert checkup.check_python((3, 9, 1)).status == "error"


def test_a_runs_folder_that_cannot_be_written_is_an_error(tmp_path):
    file = tmp_path / "a file"
    file.write_text("")

    check = machine.check_runs_folder(file / "runs")

    assert check.status == "error"
    assert str(file) in check.advice


def test_a_server_that_is_down_is_an_error(tmp_path):
    check = checkup.check_tracking_store(tmp_path, f"http://127.0.0.1:{free_port()}")

    assert check.status == "error"
    assert "does not answer" in check.detail


def test_a_damaged_database_is_an_error(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 100)

    check = checkup.check_tracking_store(tmp_path)

    assert check.status == "error"
    assert "mlflow.db is not a usable SQLite database" in check.detail


def test_little_disk_space_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "LITTLE_SPACE_GB", 1e9)
    assert machine.check_disk_space(tmp_path).status == "warning"
    monkeypatch.setattr(machine, "TOO_LITTLE_SPACE_GB", 1e9)
    assert machine.check_disk_space(tmp_path).status == "error"


def test_little_memory_is_told(monkeypatch):
    monkeypatch.setattr(machine, "LITTLE_MEMORY_GB", 1e9)
    assert machine.check_memory().status == "warning"


def test_the_memory_of_a_container_or_job_is_read(tmp_path):
    assert machine.memory_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("4000000000\n")
    assert machine.memory_limit(tmp_path) == 4_000_000_000


@pytest.fixture
def mounts(tmp_path):
    table = tmp_path / "mounts"
    table.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/home {tmp_path}/home nfs4 rw 0 0\n")
    return table


def test_a_database_on_a_network_file_system_is_a_warning(tmp_path, mounts, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "home").mkdir()
    shared = machine.check_file_system(tmp_path / "home" / "runs", None, mounts)
    assert shared.status == "warning"
    assert "--tracking-uri" in shared.advice
    local = f"sqlite:///{tmp_path}/mlflow.db"
    assert machine.check_file_system(tmp_path / "home" / "runs", local, mounts).status == "ok"
    assert machine.check_file_system(tmp_path / "runs", None, mounts).detail == "ext4"


def test_a_clock_that_disagrees_with_the_file_system_is_a_warning(tmp_path, monkeypatch):
    assert machine.check_clock(tmp_path).status == "ok"
    now = machine.time.time
    monkeypatch.setattr(machine.time, "time", lambda: now() - 100)
    check = machine.check_clock(tmp_path)
    assert check.status == "warning"
    assert "100 s behind the file system" in check.detail


def test_a_missing_data_root_is_a_warning(tmp_path):
    assert checkup.check_data_sets(tmp_path / "nowhere").status == "warning"


def test_what_the_library_has_is_counted(tmp_path):
    check = checkup.check_data_sets(tmp_path)
    assert "are drawn when needed" in check.detail
    assert "`oneshot data fetch NAME`" in check.detail


def test_half_of_slurm_on_the_path_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (check,) = doctor_slurm.check_slurm()
    assert check.status == "ok"
    for command in ("sacct", "sinfo"):
        (tmp_path / command).write_text("#!/bin/sh\n")
        (tmp_path / command).chmod(0o755)
    (check,) = doctor_slurm.check_slurm()
    assert "missing" in check.detail
    assert check.status == "warning"


def test_a_check_that_breaks_is_reported():
    checks = by_name(checkup._guarded("slurm", lambda: 1 / 0))
    assert checks["slurm"].status == "error"
    assert "ZeroDivisionError" in checks["slurm"].detail
    assert worst_status(list(checks.values())) == "error"
