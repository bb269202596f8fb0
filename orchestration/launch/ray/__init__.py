"""Trials in a Ray cluster; only the modules of this package import ray."""
