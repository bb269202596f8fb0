"""The published data sets in miniature: generated pictures and random weights in the published files."""
