"""A detector that works when it is told to: how a server behaves while the network is busy, slow or broken."""

import threading
from pathlib import Path

import torch

from os2d.detector import Detection, Detector, LearnedClasses


class HeldDetector(Detector):
    """Finds the whole image, once for every class; what is blue breaks it.

    ``go`` is set until a test clears it: then it stands still in the middle of a batch, and ``busy`` is set.
    """

    name = "held"
    default_threshold = 0.5
    default_scales = (1.0,)
    weights = Path("/secret/place/held.pth")

    def __init__(self):
        self.go, self.busy = threading.Event(), threading.Event()
        self.go.set()
        self.batches = []

    @property
    def network(self):
        return self

    def _learn(self, views):
        return LearnedClasses(tuple(views), tuple(torch.ones(len(images), 1) for images in views.values()), self)

    def _detect(self, looks):
        self.batches.append(len(looks))
        if not self.go.is_set():
            self.busy.set()
            assert self.go.wait(60)
        if any(look.image.getpixel((0, 0)) == (0, 0, 255) for look in looks):
            raise RuntimeError(f"{self.weights} does not like blue")
        return [
            [Detection(name, 0.9, (0.0, 0.0, *map(float, look.image.size))) for name in look.classes.names]
            for look in looks
        ]
