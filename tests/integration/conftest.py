"""Fixtures that several files of integration tests use."""

from tests.integration.ray_cluster import ray_cluster
from tests.integration.recovery_project import undisturbed
from tests.integration.slurm_cluster import slurm_cluster

__all__ = ["ray_cluster", "slurm_cluster", "undisturbed"]
