"""Fetching the published data sets and weights: where they live, the transfer, and safe unpacking."""
