"""Training of the detector: interrupted or not, with classes or without, and what it leaves."""

from pathlib import Path

import pytest
import torch

from baselines.detector_retrieval.detector.config_check import check_training
from baselines.detector_retrieval.detector.evaluation_task import evaluate_task
from baselines.detector_retrieval.detector.train_detector import main
from baselines.detector_retrieval.detector.training import train_task
from baselines.detector_retrieval.detector.weights import load_detector, trained_checkpoint
from os2d.console import ConsoleRun
from os2d.errors import ConfigError, DataError, TrainingDivergedError
from tests.unit.detector_case import SMALL_DETECTOR, same_weights, small_config
from tests.unit.impatient_run import ImpatientRun, interrupted_again_and_again

QUESTIONS = 3
"""An attempt is interrupted when it asks so often whether to stop: an evaluation asks once per image, a step once."""


@pytest.fixture(scope="module")
def trained(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("run")
    config = small_config(shelf)
    check_training(config)
    with ConsoleRun(folder, seed=3) as run:
        return folder, train_task(config, run)


def network(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["model"]


def test_a_training_leaves_the_published_files_and_metrics(trained: tuple[Path, dict[str, float]]) -> None:
    folder, metrics = trained
    assert {path.name for path in folder.glob("*.pth")} == {"model_0000000.pth", "model_best.pth", "model_final.pth"}
    assert not same_weights(network(folder / "model_0000000.pth"), network(folder / "model_final.pth"))
    assert {"mAP@0.50_small-val-new-cl", "best_mAP@0.50_small-val-new-cl", "best_iteration"} < metrics.keys()
    assert (folder / "artifacts" / "precision_recall" / "small-val-new-cl.json").is_file()


def test_interrupted_everywhere_equals_uninterrupted(
    trained: tuple[Path, dict[str, float]], shelf: Path, tmp_path: Path
) -> None:
    folder, whole = trained

    def attempt(_: int) -> dict[str, float]:
        with ImpatientRun(tmp_path, seed=3) as run:
            run.patience = QUESTIONS
            return train_task(small_config(shelf), run)

    torn, interruptions = interrupted_again_and_again(attempt)

    assert interruptions > 1
    assert torn == whole
    assert same_weights(network(tmp_path / "model_final.pth"), network(folder / "model_final.pth"))


def test_the_needed_training_is_evaluated(trained: tuple[Path, dict[str, float]], shelf: Path, tmp_path: Path) -> None:
    folder, _ = trained
    config = small_config(shelf)
    best = load_detector(config, trained_checkpoint(folder), torch.device("cpu")).state_dict()
    assert same_weights(best, network(folder / "model_best.pth"))
    with ConsoleRun(tmp_path, seed=3, inputs={"detector": folder}) as run:
        metrics = evaluate_task(config, run)
    assert metrics["mAP@0.50_small-val-new-cl"] == trained[1]["best_mAP@0.50_small-val-new-cl"]


def test_without_weights_nothing_is_evaluated(shelf: Path, tmp_path: Path) -> None:
    with ConsoleRun(tmp_path, seed=3) as run, pytest.raises(ConfigError, match=r"MODEL\.WEIGHT"):
        evaluate_task(small_config(shelf), run)


def test_a_detector_with_classes_learns_those_of_the_training_set(shelf: Path, tmp_path: Path) -> None:
    test_set = (f"custom:{shelf}#val-old-cl",)
    config = small_config(shelf, MODEL__ROI_BOX_HEAD__NUM_CLASSES=-1, SOLVER__MAX_ITER=1, DATASETS__TEST=test_set)
    with ConsoleRun(tmp_path, seed=3) as run:
        train_task(config, run)
    assert network(tmp_path / "model_final.pth")["roi_heads.box.predictor.cls_score.weight"].shape[0] == 5


def test_classes_that_were_not_trained_are_refused(shelf: Path, tmp_path: Path) -> None:
    config = small_config(shelf, MODEL__ROI_BOX_HEAD__NUM_CLASSES=-1)
    with ConsoleRun(tmp_path, seed=3) as run, pytest.raises(DataError, match="is not in the training set"):
        train_task(config, run)


def test_a_diverging_training_says_so(shelf: Path, tmp_path: Path) -> None:
    config = small_config(shelf, SOLVER__BASE_LR=1e30, SOLVER__WARMUP_ITERS=0, SOLVER__VALIDATION_PERIOD=100)
    with ConsoleRun(tmp_path, seed=3) as run, pytest.raises(TrainingDivergedError, match=r"SOLVER\.BASE_LR"):
        train_task(config, run)


def test_the_command_line_evaluates_a_network_in_several_sizes(
    trained: tuple[Path, dict[str, float]], shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = str(trained[0] / "model_best.pth")
    values = {**_differences(shelf), "TEST.BBOX_AUG.ENABLED": "True", "TEST.BBOX_AUG.SCALES": "(48,)"}
    overrides = [part for item in values.items() for part in item]
    assert main(["--validation_period", "9", "--test_weights", weights, *overrides]) == 0
    assert "mAP@0.5: " in capsys.readouterr().out


def test_the_command_line_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["MODEL.BACKBONE.CONV_BODY", "R-51-FPN"]) == 2
    assert "did you mean R-50-FPN" in capsys.readouterr().err


def _differences(shelf: Path) -> dict[str, str]:
    """Return the small configuration as words of a command line."""
    words = {key: str(value) for key, value in SMALL_DETECTOR.items()}
    names = {"DATASETS.TRAIN": f"('custom:{shelf}#train',)", "DATASETS.TEST": f"('custom:{shelf}#val-new-cl',)"}
    return {**words, **names}
