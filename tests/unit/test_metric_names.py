"""The names under which MLflow stores our metrics."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from orchestration.tracking.metric_names import MetricNameError, mlflow_name, mlflow_names, original_name


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("mAP@0.50", "mAP_at_0.50"),
        ("grozi-val-new-cl/mAP@0.50", "grozi-val-new-cl/mAP_at_0.50"),
        ("lr=0.1", "lr_x3D_0.1"),
        ("a,b", "a_x2C_b"),
        ("größe: 1", "größe: 1"),
        ("/loss", "_x2F_loss"),
        ("a//b", "a_x2F__x2F_b"),
        ("..", "_x2E__x2E_"),
        ("a/./b", "a/_x2E_/b"),
    ],
)
def test_forbidden_characters_are_spelled_out(name, stored):
    assert mlflow_name(name) == stored
    assert original_name(stored) == name


@given(st.text(min_size=1, max_size=20).filter(lambda name: not re.search(r"_at_|_x[0-9A-F]+_", name)))
def test_every_stored_name_is_accepted_by_mlflow(name):
    _validate_metric_name(mlflow_name(name))


@given(st.text(alphabet=st.sampled_from("aB0-.:/ @=,%\n[]µ"), min_size=1, max_size=20))
def test_names_without_the_marks_come_back(name):
    assert original_name(mlflow_name(name)) == name


def test_two_names_stored_as_one_are_an_error():
    with pytest.raises(MetricNameError, match=r"'mAP@0.5' and 'mAP_at_0.5' .* 'mAP_at_0.5'"):
        mlflow_names(["loss", "mAP@0.5", "mAP_at_0.5"])


def test_names_of_one_run_are_mapped_together():
    assert mlflow_names(["loss", "mAP@0.5"]) == {"loss": "loss", "mAP@0.5": "mAP_at_0.5"}


@pytest.mark.parametrize("name", ["", "@" * 100])
def test_empty_and_overlong_names_are_refused(name):
    with pytest.raises(MetricNameError, match="metric name"):
        mlflow_name(name)
