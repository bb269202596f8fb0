"""Trials as jobs of a SLURM cluster; only ``submit`` imports submitit."""
