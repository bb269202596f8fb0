"""How much faster evaluation is than the published loop: ``oneshot bench coae``.

The loop runs the whole network for every image and class; both find the same. They take turns, and their CPU times are
compared, which other work on the machine disturbs least.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
import typer
from torch import Tensor
from yacs.config import CfgNode

from baselines.coae.config import default_config
from baselines.coae.config_check import CHOICES
from baselines.coae.modeling.matching import Matcher
from baselines.coae.modeling.model import CoAE, Scored, build_coae
from os2d.bench.clock import least_cpu_seconds
from os2d.choices import choose

app = typer.Typer(help="Measure how much faster CoAE searches images here than its published loop.")


@app.callback()
def bench() -> None:
    """Measure how much faster CoAE searches images here than its published loop."""


@app.command("coae")
def coae(
    net: Annotated[str, typer.Option(help="res18, res34, res50 or res101")] = "res101",
    side: Annotated[int, typer.Option(min=64, help="shorter side of the image, in pixels; the other: 4/3")] = 900,
    query: Annotated[int, typer.Option(min=32, help="side of a class image, in pixels")] = 192,
    classes: Annotated[int, typer.Option(min=1, help="searched in the image")] = 4,
    repeat: Annotated[int, typer.Option(min=1, help="timed repetitions; the fastest counts")] = 2,
    threads: Annotated[int, typer.Option(min=0, help="of torch; 0: torch's own choice")] = 0,
) -> None:
    """Let the published loop and ours search one image for some classes, in turns, on the CPU.

    The image is noise and the weights are random: neither changes how long it takes.
    """
    if threads:
        torch.set_num_threads(threads)
    config = default_config()
    config.model.net = choose("--net", net, {name: name for name in CHOICES["model.net"]})
    for line in compare(config, side, query, classes, repeat):
        print(line)


def compare(config: CfgNode, side: int, query: int, classes: int, repetitions: int) -> list[str]:
    """Return what was measured, in lines."""
    generator = torch.Generator().manual_seed(0)
    model = build_coae(config, generator).eval()
    image_3hw = torch.randn(3, side, side * 4 // 3, generator=generator)
    queries_Q3ss = torch.randn(classes, 3, query, query, generator=generator)
    matcher = Matcher(model)
    programs: dict[str, Callable[[], object]] = {
        "published loop": lambda: every_pair(model, image_3hw, queries_Q3ss),
        "here": lambda: matcher.match(matcher.see(image_3hw), matcher.learn(queries_Q3ss)),
    }
    best = least_cpu_seconds(programs, repetitions, torch.device("cpu"))
    image = f"image {image_3hw.shape[2]} x {image_3hw.shape[1]}, {classes} classes of {query} x {query}"
    what = f"{config.model.net}, {image}, {torch.get_num_threads()} threads, minimum of {repetitions}"
    per_pair = [f"{name}: {seconds / classes:.3f} CPU seconds per image and class" for name, seconds in best.items()]
    return [what, *per_pair, f"times faster: {best['published loop'] / best['here']:.2f}"]


def every_pair(model: CoAE, image_3hw: Tensor, queries_Q3ss: Tensor) -> list[Scored]:
    """Return what the network finds, as the published program runs it."""
    size_12 = torch.tensor([image_3hw.shape[1:]], dtype=torch.float32)
    return [model(image_3hw[None], query_3ss[None], size_12) for query_3ss in queries_Q3ss]
