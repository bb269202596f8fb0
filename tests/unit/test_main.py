import subprocess
import sys
from pathlib import Path

import pytest
import torch

from main import main, read_config
from os2d.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def run_main(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "main.py", *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text('train:\n  batch_size: 2\neval:\n  dataset_names: ("dairy",)\n')
    config = read_config(file, ["train.batch_size", "3"])
    assert config.train.batch_size == 3 and config.eval.dataset_names == ["dairy"]
    assert config.is_frozen()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["train.optim.learning_rate", "1"],
            r"^train\.optim\.learning_rate: no such key; did you mean train\.optim\.lr\?",
        ),
        (["train.objective.loc_weight", "1"], r"^train\.objective\.loc_weight: cannot be set to '1': write 1\.0"),
        (["eval.batch_sise", "1"], r"did you mean eval\.batch_size\?"),
        (["loc_weight", "1.0"], r"did you mean train\.objective\.loc_weight\?"),
        (["train.mining", "1"], r"^train\.mining: no such key; it is a branch, its keys are train\.mining\.do_mining"),
        (["train.batch_size", "many"], r"^train\.batch_size: .*'many': expected a value of type int.*default 4"),
        (["train.optim.lr"], r"expected KEY VALUE pairs, got 1 words: train\.optim\.lr"),
    ],
)
def test_wrong_overrides_name_the_key(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(None, overrides)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yml"):
        read_config(tmp_path / "absent.yml", [])
    file = tmp_path / "a.yml"
    file.write_text("train:\n  batch: 2\n")
    with pytest.raises(ConfigError, match=r"train\.batch: no such key \(.*a\.yml\); did you mean train\.batch_size\?"):
        read_config(file, [])
    file.write_text("train:\n  objective:\n    loc_weight: 1\n")
    with pytest.raises(ConfigError, match=r"loc_weight: cannot be set to 1 \(.*a\.yml\): write 1\.0"):
        read_config(file, [])
    file.write_text("train: [\n")
    with pytest.raises(ConfigError, match=r"a\.yml: cannot be read"):
        read_config(file, [])


def test_help_teaches_by_examples() -> None:
    shown = run_main("--help").stdout
    assert "examples:" in shown and "torchrun --nproc-per-node 2 main.py" in shown and "exit codes" in shown


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["init.model", "absent.pth"], "absent.pth"),
        (["runtime.data_root", "nowhere", "eval.dataset_names", "['dairy']"], "dairy"),
    ],
)
def test_what_is_missing_is_named_in_one_line(overrides: list[str], message: str, tmp_path: Path) -> None:
    common = ["is_cuda", "False", "train.do_training", "False", "runtime.data_root", str(tmp_path)]
    names = [] if "eval.dataset_names" in overrides else ["eval.dataset_names", "['shelf-val-new-cl']"]
    result = run_main(*common, *names, *overrides)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ") and message in line


def test_errors_are_one_line_and_exit_with_two() -> None:
    result = run_main("train.optim.lr", "0.0")
    assert result.returncode == 2
    assert result.stderr.splitlines() == ["error: train.optim.lr: expected a positive number, got 0.0"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_an_error_with_advice(capsys: pytest.CaptureFixture[str]) -> None:
    names = "('shelf-val-new-cl',)"
    assert main(["train.dataset_name", "shelf-train", "eval.dataset_names", names]) == 2
    assert "set is_cuda False" in capsys.readouterr().err


def test_pictures_need_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    names = "('shelf-val-new-cl',)"
    arguments = ["train.dataset_name", "shelf-train", "eval.dataset_names", names, "is_cuda", "False"]
    assert main([*arguments, "visualization.eval.show_detections", "True"]) == 2
    assert "visualization.eval.show_detections: True draws pictures into the folder output.path" in (
        capsys.readouterr().err
    )
