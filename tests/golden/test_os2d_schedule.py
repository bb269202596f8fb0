import numpy as np
import pytest
import torch
from golden_cases import Golden

from os2d.config import default_config
from os2d.engine.optimisation import build_annealing, build_optimizer


@pytest.mark.reads("os2d/lr_annealing.npz")
def test_learning_rate_annealing(golden: Golden) -> None:
    case = golden("os2d/lr_annealing.npz")
    history = case["metric_history"].tolist()
    for variant, settings in case.meta.items():
        optim = default_config().train.optim
        optim.lr = settings["lr"]
        optim.anneal_lr.update(settings["anneal_lr"])
        optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(1))], optim)
        annealing = build_annealing(optimizer, optim.anneal_lr, settings["eval_iter"])
        expected = case[f"{variant}/lr_after_each_evaluation"]
        optimizer.step()
        actual = [annealing.step((k + 1) * settings["eval_iter"] - 1, history[k]) for k in range(len(expected))]
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12, err_msg=variant)
