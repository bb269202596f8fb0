"""What a search for hard patches found, in numbers that tell over a training whether there is still much to learn.

Names in the log, at the step before which was mined:

- ``mining_patches``: of all images and roles;
- ``mining_<role>_loss_mean`` and ``mining_<role>_loss_p90``: mean and 90th percentile of the loss that makes a patch
  hard: the class loss of the roles ``neg`` and ``pos``, the localisation loss of ``pos_loc``; nothing without patches;
- ``mining_time``: seconds of the search, since the last interruption if it was interrupted.
"""

from __future__ import annotations

import numpy as np

from os2d.engine.hard_patch import ROLES, HardPatches

HARD_PERCENTILE = 90


def mining_statistics(patches: HardPatches, seconds: float) -> dict[str, float]:
    """Return the metrics of a finished search."""
    found = [patch for of_image in patches.values() for patch in of_image]
    metrics = {"mining_patches": float(len(found)), "mining_time": seconds}
    for role in ROLES:
        losses = [patch.loss_loc if role == "pos_loc" else patch.loss for patch in found if patch.role == role]
        if losses:
            metrics[f"mining_{role}_loss_mean"] = float(np.mean(losses))
            metrics[f"mining_{role}_loss_p{HARD_PERCENTILE}"] = float(np.percentile(losses, HARD_PERCENTILE))
    return metrics
