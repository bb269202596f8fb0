"""Pictures in a window and from a camera, by OpenCV where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import numpy as np
from PIL import Image

from os2d.errors import DeviceError

ESCAPE = 27
"""Code of the key that ends the program."""

UNTIL_A_KEY, A_MOMENT = 0, 1
"""How long a picture stays, in milliseconds; 0: until a key is pressed."""


def show(title: str, picture: Image.Image, milliseconds: int) -> bool:
    """Show a picture in the window of a title; return whether the user wants to go on.

    Raises:
        DeviceError: there is no OpenCV or no display.
    """
    cv2 = _cv2()
    try:
        cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        cv2.imshow(title, np.asarray(picture)[:, :, ::-1])
        key: int = cv2.waitKey(milliseconds)
        return key & 0xFF != ESCAPE
    except cv2.error as e:
        raise DeviceError(f"no window can be opened here; write to a file with --output ({str(e).strip()})") from e


def camera_pictures() -> Iterator[Image.Image]:
    """Yield what the first camera sees.

    Raises:
        DeviceError: there is no OpenCV or no camera.
    """
    cv2 = _cv2()
    camera = cv2.VideoCapture(0)
    try:
        if not camera.isOpened():
            raise DeviceError("--webcam: this machine has no camera that can be opened")
        while True:
            is_good, pixels = camera.read()
            if not is_good:
                return
            yield Image.fromarray(pixels[:, :, ::-1].copy())
    finally:
        camera.release()


def _cv2() -> ModuleType:
    try:
        return import_module("cv2")
    except ModuleNotFoundError as e:
        raise DeviceError(
            "windows and cameras need OpenCV (pip install opencv-python); without it, name files with --output"
        ) from e
