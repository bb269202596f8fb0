"""Detector + retrieval: what the one proposes, the other tells apart."""
