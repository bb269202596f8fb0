import gzip
import io
import os
import tarfile
import zipfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from os2d.errors import CheckpointError
from os2d.modeling.weights_file import file_format, load_weights, write_whole
from tests.unit.weights_files import Calls, legacy, pickled, rewritten_strings, saved

CONTENT = {
    "net": OrderedDict(weight=torch.arange(6.0).reshape(2, 3), half=torch.ones(2, dtype=torch.float16)),
    "optimizer": {"state": {140123456789012: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
    "criterion_value": np.float64(0.9065),
    "criterion_dataset": "grozi-val-new-cl",
}


def zipped(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def is_as_written(path: Path) -> bool:
    found = load_weights(path)
    weights, momentum = found["net"], found["optimizer"]["state"][140123456789012]["momentum_buffer"]
    return (
        all(torch.equal(weights[key], tensor) and weights[key].device.type == "cpu" for key, tensor in weights.items())
        and list(weights) == ["weight", "half"]
        and momentum.tolist() == [1, 1]
        and found["criterion_value"] == 0.9065
        and found["criterion_dataset"] == "grozi-val-new-cl"
    )


@pytest.mark.parametrize("write", [zipped, legacy], ids=["today", "before torch 1.6"])
@pytest.mark.parametrize("place", ["cpu", "cuda:0", "cuda:7"])
def test_files_of_every_torch_and_of_other_devices_are_read_on_the_cpu(
    write: Callable[[object], bytes], place: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(rewritten_strings(write(CONTENT), {"cpu": place}))
    assert is_as_written(path)


def test_files_written_by_python_2_are_read(tmp_path: Path) -> None:
    path = tmp_path / "weakalign.pth.tar"
    content = {"args": Namespace(lr=0.1), "best": torch.tensor(0.5), "state_dict": OrderedDict(a=torch.arange(3.0))}
    path.write_bytes(rewritten_strings(legacy(content), {"cpu": "cuda:0"}, python_2=True))
    found = load_weights(path)
    assert found["state_dict"]["a"].tolist() == [0, 1, 2] and found["args"].lr == 0.1


def test_numpy_renamed_its_constructors_once(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    written = legacy(CONTENT)
    assert b"numpy._core.multiarray" in written
    path.write_bytes(written.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert is_as_written(path)


def test_whitening_matrices_beside_the_weights_become_tensors(tmp_path: Path) -> None:
    whitening = {"m": np.arange(3.0), "P": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    path = saved(tmp_path / "a.pth", {"meta": {"Lw": {"sfm": whitening}}, "state_dict": {"a": torch.ones(1)}})
    found = load_weights(path)["meta"]["Lw"]["sfm"]
    assert found["m"].tolist() == [0, 1, 2] and found["P"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_pickles_of_numpy_arrays_are_read(protocol: int, tmp_path: Path) -> None:
    arrays = {
        "float": np.arange(6, dtype="<f4").reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big endian": np.array([1, 258], dtype=">i4"),
        "scalar": np.array(3.5),
        "empty": np.zeros((0, 3), dtype="f4"),
    }
    found = load_weights(pickled(tmp_path / "a.pkl", {"blobs": arrays}, protocol))["blobs"]
    assert {name: tensor.tolist() for name, tensor in found.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    path = tmp_path / "R-50-GN.pkl"
    path.write_bytes(
        b"\x80\x02}q\x00U\x05blobs}U\x07conv1_wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"K\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08\x00\x00\x80?\x00\x00\x00\xc0tbss."
    )
    assert load_weights(path)["blobs"]["conv1_w"].tolist() == [1, -2]


@pytest.mark.parametrize(
    "array",
    [np.array([{"a": 1}], dtype=object), np.array(["text"]), np.zeros(2, dtype=[("a", "f4")])],
    ids=["objects", "text", "records"],
)
def test_arrays_of_anything_but_numbers_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"a\.pkl: not a readable weights file"):
        load_weights(pickled(tmp_path / "a.pkl", {"blobs": {"a": array}}))


@pytest.mark.parametrize(
    ("function", "name"), [(os.system, "posix.system"), (eval, r"(\w+\.)?eval")], ids=["system", "eval"]
)
@pytest.mark.parametrize("kind", ["today", "before torch 1.6", "pickle 2", "pickle 5"])
def test_code_in_a_file_is_named_and_not_run(function: object, name: str, kind: str, tmp_path: Path) -> None:
    trace, path = tmp_path / "ran", tmp_path / "evil.pth"
    argument = f"open({str(trace)!r}, 'w')" if function is eval else f"touch {trace}"
    content = {"net": {"a": torch.ones(1)} if "torch" in kind else {}, "bait": Calls(function, argument)}
    if kind.startswith("pickle"):
        pickled(path, content, protocol=int(kind[-1]))
    else:
        path.write_bytes(zipped(content) if kind == "today" else legacy(content))
    with pytest.raises(
        CheckpointError, match=rf"evil\.pth: not a readable weights file: it holds the name {name},"
    ) as e:
        load_weights(path)
    assert "nothing in it was run" in str(e.value) and not trace.exists()


def test_a_state_that_would_reach_numpy_is_refused(tmp_path: Path) -> None:
    path = pickled(tmp_path / "a.pkl", {"a": Calls(np.dtype, "O", False, True)})
    with pytest.raises(CheckpointError, match="not a readable"):
        load_weights(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><html><body>Google Drive - Virus scan warning", "it is a web page"),
        (b"<html>404</html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "pointer of Git LFS"),
        (gzip.compress(b"weights"), "it is a gzip archive: unpack it"),
        (b"these are no weights", r"was not written by torch\.save"),
        (b"\x80\x02}q\x00(X", r"was not written by torch\.save"),
        (zipped(CONTENT)[:-300], "it is truncated or damaged"),
        (legacy(CONTENT)[:-10], "it is truncated or damaged"),
        (legacy(CONTENT)[:150], "it is truncated or damaged"),
    ],
    ids=[
        "empty",
        "page",
        "404",
        "lfs",
        "gzip",
        "text",
        "half a pickle",
        "half a zip",
        "half the numbers",
        "half legacy",
    ],
)
def test_a_file_of_something_else_is_told_in_one_line(content: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"a\.pth: not a readable weights file: .*{what}") as e:
        load_weights(path)
    assert "\n" not in str(e.value)


def test_archives_and_programs_are_told(tmp_path: Path) -> None:
    weights = saved(tmp_path / "a.pth", CONTENT)
    with tarfile.open(tmp_path / "b.pth.tar", "w") as tar:
        tar.add(weights)
    with zipfile.ZipFile(tmp_path / "c.pth", "w") as archive:
        archive.write(weights, "models/a.pth")
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "d.pth")
    for name, what in (
        ("b.pth.tar", "a tar archive"),
        ("c.pth", "a zip archive"),
        ("d.pth", "a program of TorchScript"),
    ):
        with pytest.raises(CheckpointError, match=rf"{name}: not a readable weights file: it is {what}"):
            load_weights(tmp_path / name)


def test_the_way_a_file_is_written_is_told(tmp_path: Path) -> None:
    old = tmp_path / "old.pth"
    old.write_bytes(legacy(CONTENT))
    files = (saved(tmp_path / "new.pth", CONTENT), old, pickled(tmp_path / "a.pkl", {}))
    assert [file_format(file) for file in files] == ["torch", "torch, before 1.6", "pickle"]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent.a\.pth: cannot write"):
        write_whole(tmp_path / "absent" / "a.pth", {})


def test_a_missing_published_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"os2d_v2-train\.pth: no such weights file; .*oneshot models fetch os2d_v2"
    ):
        load_weights(tmp_path / "os2d_v2-train.pth")
    with pytest.raises(CheckpointError, match=r"mine\.pth: no such weights file; check the path"):
        load_weights(tmp_path / "mine.pth")
    with pytest.raises(CheckpointError, match="it is a folder"):
        load_weights(tmp_path)


@pytest.mark.parametrize(("asked", "there"), [("renamed", "converted"), ("converted", "renamed")])
def test_a_file_under_its_other_published_name_is_pointed_out(asked: str, there: str, tmp_path: Path) -> None:
    published = "imagenet-caffe-resnet50-features-ac468af"
    other = saved(tmp_path / f"{published}-{there}.pth", {})
    with pytest.raises(
        CheckpointError, match=rf"-{asked}\.pth: no such weights file; {other} holds the same weights.* cp {other} "
    ):
        load_weights(tmp_path / f"{published}-{asked}.pth")


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ("net.pth", "net-renamed.pth"),
        ("net.pth", "net-converted.pth"),
        ("net.pth", "net_converted.pth"),
        ("R-50-GN.pkl", "resnet50_caffe2_groupnorm.pth"),
        ("imagenet-caffe-resnet50-features-ac468af.pth", "imagenet-caffe-resnet50-features-ac468af-renamed.pth"),
    ],
)
def test_a_file_that_is_to_be_converted_says_how(there: str, asked: str, tmp_path: Path) -> None:
    source, wanted = saved(tmp_path / there, {}), tmp_path / asked
    with pytest.raises(CheckpointError, match=rf"make it: oneshot models convert {source} --output {wanted}"):
        load_weights(wanted)
