"""Systems the one-shot detector is compared with, each a small library ending in ``tasks.py``."""
