"""How fast this machine runs the detector, stage by stage, beside the published program if wanted.

``clock`` and ``original_side`` are also loaded by a process in which ``os2d`` is the published program, as a package
named ``bench``: they import nothing of ours but each other, by relative names.
"""
