"""Fixtures that several files of integration tests use."""

from tests.integration.slurm_cluster import slurm_cluster

__all__ = ["slurm_cluster"]
