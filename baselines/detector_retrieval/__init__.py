"""Proposals of a class-agnostic detector, described and compared by a retrieval network."""
