"""Faster R-CNN with a feature pyramid, which proposes objects of any class; its numbers are maskrcnn-benchmark's."""
