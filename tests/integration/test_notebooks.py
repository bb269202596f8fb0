"""The notebooks run from top to bottom without a network, on a model that the quickstart's description trains."""

import os
import shutil
import subprocess
import sys
from base64 import b64decode
from io import BytesIO

import nbformat
import pytest
from nbformat import NotebookNode
from PIL import Image

from tests.integration.oneshot_project import ROOT, Project

pytestmark = pytest.mark.cluster

SHORT_QUICKSTART = """
from dataclasses import replace

from experiments.quickstart import quickstart as whole
from orchestration.describe import seeds

quickstart = replace(
    whole,
    variants=[variant for variant in whole.variants if variant.name == "contrastive"],
    config=whole.config
    | {
        "train.optim.max_iter": 15,
        "eval.iter": 15,
        "eval.dataset_names": ["shelf-val-new-cl"],
        "eval.dataset_scales": [264.0],
    },
    seeds=seeds(1),
)
"""
ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
"""Run a command where there is no network but this machine's own; needs root."""

CELL_SECONDS = 400


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A folder as a checkout's is after a short quickstart, without released weights."""
    made = Project(tmp_path_factory.mktemp("project"), "orchestration.cli")
    made.environment["ONESHOT_DATA"] = str(made.folder / "data")
    (made.folder / "short.py").write_text(SHORT_QUICKSTART)
    code, out = made.run("run", "short.py", "--launcher", "local")
    assert code == 0, out
    shutil.copytree(ROOT / "notebooks", made.folder / "notebooks")
    return made


def executed(project: Project, name: str, **environment: str) -> NotebookNode:
    """Return a notebook with what its cells put out, started as Jupyter does: in its own folder."""
    isolation = ALONE if os.geteuid() == 0 and shutil.which("ip") else []
    times = [f"--timeout={CELL_SECONDS}", f"--startup_timeout={CELL_SECONDS}"]
    done = subprocess.run(
        [*isolation, sys.executable, "-c", "from nbclient.cli import main; main()", name, "--inplace", *times],
        cwd=project.folder / "notebooks",
        env={**os.environ, **project.environment, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return nbformat.read(project.folder / "notebooks" / name, nbformat.NO_CONVERT)


def texts(notebook: NotebookNode) -> list[str]:
    """Return what the cells printed, and the values they ended with."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]


def pictures(notebook: NotebookNode) -> list[Image.Image]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    encoded = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    return [Image.open(BytesIO(b64decode(content))) for content in encoded]


def test_the_local_demo_shows_the_best_detections_of_two_classes(project: Project):
    notebook = executed(project, "demo.ipynb")

    (listed,) = [text for text in texts(notebook) if text.count("muesli") + text.count("lemonade") == 8]
    scores = [float(line.split()[1]) for line in listed.splitlines()]
    assert scores == sorted(scores, reverse=True)
    assert any(text.count("Detection(") == 3 and "corners=((" in text for text in texts(notebook))
    assert len(pictures(notebook)) == 2


def test_the_demo_of_the_api_starts_a_server_and_asks_every_route(project: Project):
    notebook = executed(project, "demo-api.ipynb")

    told = "\n".join(texts(notebook))
    assert "'weights': " in told and "'computed': " in told
    assert "'corners': [[" in told
    assert "{'scores': [" in told and "'bboxes': [" in told
    assert len(pictures(notebook)) == 2
