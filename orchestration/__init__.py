"""Expand experiment descriptions into trials, run them anywhere, and read the results back."""
