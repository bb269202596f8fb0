"""The joint batch of several processes: outputs and statistics of all images, gradients through one's own.

Legend: n images of the joint batch, b of this process, L classes, A anchors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from os2d.data.batch_loader import share_of
from os2d.distributed import SumOverProcesses, rank, sum_over_processes, world_size
from os2d.modeling.network import Os2d


def join_images(parts: Sequence[Tensor], num_images: int) -> list[Tensor]:
    """Return tensors (n, L, k, A) of the whole batch, made of those (b, L, k, A) of every process.

    They travel together. What other processes computed is a constant here. Of a process that stands in for a share
    without images (see :class:`~os2d.data.train_loader.TrainBatch`) nothing is taken.
    """
    if world_size() == 1:
        return list(parts)
    own = share_of(num_images, rank(), world_size())
    parts = [part[: own.stop - own.start] for part in parts]
    stacked = torch.cat([part.detach().float() for part in parts], dim=2)
    joint = stacked.new_zeros(num_images, *stacked.shape[1:])
    joint[own] = stacked
    wholes = sum_over_processes(joint).split([part.shape[2] for part in parts], dim=2)
    return [
        torch.cat([whole[: own.start].to(part.dtype), part, whole[own.stop :].to(part.dtype)])
        for whole, part in zip(wholes, parts, strict=True)
    ]


class JointBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over the images of all processes, on any device; torch's own SyncBatchNorm knows no CPU.

    Attributes:
        counts: whether the images of this process belong to the batch.
        joint: whether other processes have other images; all of them see the same class images.
    """

    counts = True
    joint = True

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised maps (N, D, H, W)."""
        if not (self.training and self.joint):
            return super().forward(input)
        maps_NDHW = input.float()
        weight = float(self.counts)
        count = weight * maps_NDHW.numel() / maps_NDHW.shape[1]
        sums = torch.cat([weight * maps_NDHW.sum(dim=(0, 2, 3)), maps_NDHW.new_tensor([count])])
        sums = SumOverProcesses.apply(sums)
        total = sums[-1].detach()
        mean_D11 = (sums[:-1] / total)[:, None, None]
        squares = weight * (maps_NDHW - mean_D11).square().sum(dim=(0, 2, 3))
        variance_D = SumOverProcesses.apply(squares) / total
        self._track(mean_D11.detach().flatten(), variance_D.detach() * (total / (total - 1)))
        scale_D = self.weight * torch.rsqrt(variance_D + self.eps)
        out: Tensor = (maps_NDHW - mean_D11) * scale_D[:, None, None] + self.bias[:, None, None]
        return out.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean_D: Tensor, variance_D: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean_D, momentum)
        self.running_var.lerp_(variance_D, momentum)


def join_batch_statistics(model: Os2d) -> None:
    """Let BatchNorm see the images of all processes; class images are the same everywhere and stay by themselves."""
    if world_size() == 1:
        return
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = JointBatchNorm2d  # its tensors, hooks and place in the network stay what they are
    branch = model.net_label_features
    branch.register_forward_pre_hook(lambda module, images: _set_joint(module, False))
    branch.register_forward_hook(lambda module, images, features: _set_joint(module, True), always_call=True)


def _set_joint(branch: nn.Module, joint: bool) -> None:
    for module in _joint_norms(branch):
        module.joint = joint


def count_own_images(model: nn.Module, counts: bool) -> None:
    """Tell BatchNorm whether the images of this process belong to the batch."""
    for module in _joint_norms(model):
        module.counts = counts


def _joint_norms(model: nn.Module) -> list[JointBatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, JointBatchNorm2d)]
