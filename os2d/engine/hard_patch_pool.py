"""The hard patches that training draws from: when they are mined anew, and what an interrupted search has found."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from yacs.config import CfgNode

from os2d.engine.hard_patch import HardPatches, MinedPatch


class HardPatchPool:
    """The patches in use, and those of a search that is not finished.

    Args:
        mining: the configuration's branch ``train.mining``.
    """

    def __init__(self, mining: CfgNode) -> None:
        self.mining = mining
        self.patches: HardPatches = OrderedDict()
        self.mined_at = -1
        self.unfinished: HardPatches = OrderedDict()
        """Image id -> patches of the images that the search at the present iteration is through with."""

    def is_due(self, iteration: int) -> bool:
        """Whether patches are to be mined before the step ``iteration``."""
        scheduled = iteration % self.mining.mine_hard_patches_iter == 0
        return self.mining.do_mining and scheduled and self.mined_at != iteration

    def finish(self, patches: HardPatches, iteration: int) -> None:
        """Use the patches of a finished search."""
        self.patches, self.mined_at, self.unfinished = patches, iteration, OrderedDict()

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values."""
        return {
            "mined_at": self.mined_at,
            "hard_patches": _plain(self.patches),
            "unfinished_search": _plain(self.unfinished),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.mined_at = state["mined_at"]
        self.patches = _from_plain(state["hard_patches"])
        self.unfinished = _from_plain(state.get("unfinished_search", {}))


def _plain(patches: HardPatches) -> dict[int, list[dict[str, Any]]]:
    return {image_id: [p.as_plain() for p in of_image] for image_id, of_image in patches.items()}


def _from_plain(state: Mapping[int, list[dict[str, Any]]]) -> HardPatches:
    return OrderedDict((i, [MinedPatch.from_plain(values) for values in of_image]) for i, of_image in state.items())
