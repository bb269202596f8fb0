"""Trials of several processes, on one node or more, under torch's elastic launcher."""
