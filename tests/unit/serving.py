"""A small OS2D network behind the application, and what is sent to it."""

import base64
import time
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import torch
import yaml
from fastapi.testclient import TestClient
from PIL import Image

from os2d.config import default_config
from os2d.modeling.network import build_os2d
from os2d.serve.app import create_app
from os2d.serve.settings import ServeSettings
from tests.small_case import SMALL_NETWORK

SMALL_SIGHT = {"eval.dataset_scales": [96.0], "eval.scales_of_image_pyramid": [1.0]}
"""Configuration key -> value: the image is seen once, as small as it is."""


def write_small_network(folder, seed=0):
    """Write untrained weights of a small network, and beside them how it is set; return the weights file."""
    values = {key: value for key, value in SMALL_NETWORK.items() if "." in key} | SMALL_SIGHT
    config = default_config()
    for key, value in values.items():
        config.merge_from_list([key, value])
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"net": build_os2d(config).state_dict()}, folder / "small.pth")
    branches = {}
    for key, value in values.items():
        node = branches
        *path, last = key.split(".")
        for name in path:
            node = node.setdefault(name, {})
        node[last] = value
    (folder / "config.yml").write_text(yaml.safe_dump(branches))
    return folder / "small.pth"


def picture(width=96, height=72, seed=0):
    """Return a picture of coarse noise: no two places look the same."""
    cells = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


def png(image):
    """Return the bytes of a file."""
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def in_json(image):
    """Return a picture as the JSON bodies hold it."""
    data = image if isinstance(image, bytes) else png(image)
    return {"content": base64.b64encode(data).decode()}


def form_of(image, **classes):
    """Return the ``files`` of a form: an image, and class images by name."""
    files = [("image", ("scene.png", png(image)))]
    return [*files, *(("class_image", (f"{name}.png", png(view))) for name, view in classes.items())]


@contextmanager
def served(weights, load=None, **settings):
    """Give a client of a started application whose network is loaded."""
    given = {"batch_wait_ms": 0, "device": "cpu", **settings}
    app = create_app(ServeSettings(model=str(weights), **given), load)
    with TestClient(app, raise_server_exceptions=False) as client:
        deadline = time.monotonic() + 60
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline, app.state.service.worker.failure
            time.sleep(0.01)
        yield client


def error_of(answer, status, code):
    """Return the error in an answer, once its status, code and shape are what they should be."""
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}
    error = answer.json()["error"]
    assert error.keys() == {"code", "message", "field"}
    assert error["code"] == code
    assert not any(sign in answer.text for sign in ("Traceback", ".py", "/secret", "/tmp", "/work", "site-packages"))
    return error
