"""Weights of other projects under the names of this one: a module per layout, each a table and a pure function.

A layout is recognised by its keys (``recognition``), what can be converted is listed in ``conversions``. Every
conversion takes exactly the keys it knows: a missing, unexpected or wrongly shaped one is an error that names it; keys
that have no place here (a pooling layer, a detector's head) are reported as dropped.
"""
