"""Sweeps as data: how points are chosen, which trials are stopped, and what was decided."""
