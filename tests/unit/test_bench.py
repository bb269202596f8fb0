import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from os2d.bench.against import Original, OriginalError
from os2d.bench.clock import memory_peak_mb, time_call
from os2d.bench.detections import draw_detections
from os2d.bench.differences import compare_detections, compare_patches
from os2d.bench.measure import StageResult, Timing, chosen_stages
from os2d.bench.original_side import stages as original_side
from os2d.bench.run import parse_size
from os2d.bench.stages import STAGES
from os2d.bench.work import Work, correlation_work, transform_work
from os2d.cli.bench import app
from os2d.errors import ConfigError
from os2d.modeling.transform_net import TransformNet
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

TINY = (
    *("os2d", "--quick", "--device", "cpu", "--backbone", "ResNet18", "--backbone-cut", "layer1"),
    *("--template-grid", "5", "--image-size", "128x96", "--classes", "2", "--repeat", "1", "--workers", "1"),
)
TIMING = {"median_seconds", "min_seconds", "min_cpu_seconds", "repetitions", "seconds", "cpu_seconds", "memory_mb"}


def bench(*arguments):
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of one run over all stages."""
    folder = tmp_path_factory.mktemp("bench")
    result = bench(*TINY, "--output", str(folder / "bench.json"), "--plot", str(folder / "bench.png"))
    assert result.exit_code == 0, result.output
    (folder / "stdout.txt").write_text(result.stdout)
    return folder


def test_a_run_measures_every_stage_and_states_its_conditions(folder: Path) -> None:
    report = json.loads((folder / "bench.json").read_text())
    assert report["schema"] == 1
    assert [stage["name"] for stage in report["stages"]] == list(STAGES)
    assert report["machine"]["torch"] == torch.__version__ and report["machine"]["threads"] >= 1
    assert report["machine"]["device"] and report["machine"]["bf16"]
    assert report["settings"]["image_size"] == [128, 96] and report["settings"]["backbone"] == "ResNet18"
    assert report["peaks"]["gflops"].keys() == {"fp32", "bf16"} and report["peaks"]["copy_gbytes"] > 0
    assert report["gpu"] is None and report["differences"] == []
    for stage in report["stages"]:
        ours = stage["ours"]
        assert ours.keys() == TIMING and stage["original"] is None and stage["times_faster"] == {}
        assert ours["repetitions"] == len(ours["seconds"]) == 1 and 0 < ours["min_seconds"] <= ours["median_seconds"]
    step, loading = (next(s for s in report["stages"] if s["name"] == n) for n in ("training-step", "data-loading"))
    assert report["loading_share"] == loading["ours"]["median_seconds"] / step["ours"]["median_seconds"]


def test_speeds_are_work_over_time_and_shares_of_a_measured_peak(folder: Path) -> None:
    report = json.loads((folder / "bench.json").read_text())
    stages = {stage["name"]: stage for stage in report["stages"]}
    match = stages["match"]
    assert match["gflops"] == match["flops"] / match["ours"]["median_seconds"] / 1e9
    assert match["share_of_peak"] == match["gflops"] / report["peaks"]["gflops"]["fp32"]
    assert match["flops"] == stages["correlation"]["flops"] + stages["transform-net"]["flops"]
    resampling = stages["resampling"]
    assert resampling["share_of_peak"] == resampling["gbytes"] / report["peaks"]["copy_gbytes"]
    assert stages["decode"]["share_of_peak"] is None


def test_the_table_names_every_stage_and_the_plot_is_a_picture(folder: Path) -> None:
    printed = (folder / "stdout.txt").read_text()
    assert all(stage.title in printed for stage in STAGES.values())
    with Image.open(folder / "bench.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 600
        assert len(picture.convert("RGB").getcolors(2**24) or []) > 10


def test_json_and_markdown_are_all_that_is_printed() -> None:
    result = bench(*TINY, "--stages", "decode, correlation", "--json")
    assert [stage["name"] for stage in json.loads(result.stdout)["stages"]] == ["correlation", "decode"]
    lines = bench(*TINY, "--stages", "decode", "--format", "markdown").stdout.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 3 and len({line.count("|") for line in table}) == 1
    assert all(line.startswith(("-", "|")) or not line for line in lines)


def test_an_unknown_stage_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no stage is named 'matching'; expected some of image-features, class-fea"):
        chosen_stages("match,matching")
    assert chosen_stages("") == list(STAGES)


@pytest.mark.parametrize("text", ["1280", "1280x", "10x2000", "axb"])
def test_a_wrong_image_size_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--image-size: expected WIDTHxHEIGHT.*got"):
        parse_size(text)
    assert parse_size("1280x960") == Size(1280, 960)


def test_ratios_are_the_time_of_the_original_over_ours() -> None:
    ours = Timing((1.0, 2.0, 9.0), (0.5, 0.6, 0.7), 10.0)
    original = Timing((4.0, 6.0, 8.0), (2.0, 3.0, 4.0), 10.0)
    result = StageResult("match", STAGES["match"], Work(), ours, original)
    assert result.times_faster() == {"median": 3.0, "min": 4.0, "cpu": 4.0}
    assert replace(result, original=None).times_faster() == {}
    assert replace(result, name="data-loading").times_faster().keys() == {"median", "min"}


def test_both_sides_know_the_same_stages() -> None:
    assert set(original_side.STAGES) == {name for name, stage in STAGES.items() if stage.in_original}


def test_work_is_counted_as_the_plain_method_does_it() -> None:
    net = TransformNet(25, 6, [7, 5, 5], [8, 4])
    per_cell = 49 * 25 * 8 + 25 * 8 * 4 + 25 * 4 * 6
    assert transform_work(net, Size(10, 6)).flops == 2 * 60 * per_cell
    assert correlation_work(64, 25, Size(10, 6)).flops == 2 * 60 * 64 * 25


def test_a_call_is_timed_and_its_memory_is_seen() -> None:
    cpu = torch.device("cpu")
    sample = time_call(lambda: sum(range(10**6)), cpu)
    assert sample.cpu_seconds > 0 and 0 < sample.seconds < 10

    def take_64_mb() -> None:
        kept = torch.ones(16 * 2**20)
        for _ in range(20):
            kept.mul_(1.0)

    assert 50 < memory_peak_mb(take_64_mb, cpu) < 300
    blocks = [torch.ones(size * 2**18) for size in (28, *[20] * 8)]  # in MB; the first raises what glibc keeps
    pin = torch.ones(2**17)
    del blocks  # the allocator has memory for the call now
    assert 50 < memory_peak_mb(take_64_mb, cpu) < 300
    del pin


def test_detections_are_the_same_only_with_the_same_boxes_classes_and_scores() -> None:
    found = draw_detections(2, 3, 50).found
    assert compare_detections(found, [b[torch.randperm(50)] for b in found])[0].size == 0
    moved = [b.with_boxes(b.boxes_xyxy + torch.tensor([1.0, 0, 0, 0]), b.size) for b in found]
    assert compare_detections(found, moved)[0].size == 1
    scored = [b.with_field("scores", b.field("scores") + 0.01) for b in found]
    assert not compare_detections(found, scored)[0].within
    other = [b.with_field("labels", b.field("labels") + 5) for b in found]
    assert compare_detections(found, other)[0].size == 1
    fewer = compare_detections(found, [b[1:] for b in found])[0]
    assert fewer.size == pytest.approx(2 / 198)
    empty = BoxList(torch.zeros(0, 4), found[0].size, {"labels": torch.zeros(0), "scores": torch.zeros(0)})
    assert compare_detections(found, [empty, empty])[0].size == 1


def test_patches_found_by_one_side_alone_are_a_difference() -> None:
    assert compare_patches({}, [])[0].within
    theirs = {"image_id": 1, "role": "neg", "pyramid_level": 0, "anchor_index": 3, "label_global": 2, "loss": 0.1}
    assert not compare_patches({}, [theirs])[0].within


def test_a_folder_without_the_published_program_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OriginalError, match=r"no checkout of the published OS2D .*clone"):
        Original(tmp_path, tmp_path, threads=1)
    with pytest.raises(ConfigError, match="no network of ResNet18 up to layer1"):
        bench(*TINY, "--against", str(tmp_path))
