"""OneNet: end-to-end one-stage detection without suppression of overlapping boxes (arXiv 2012.05780).

Each object trains the one location that costs least to be trained on it, by class and by place; so each object is
found once.
"""
