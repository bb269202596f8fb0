"""The published program's side of a comparison: a process in which ``os2d`` is a user's own checkout of it.

Our package cannot be imported there, because it has the same name. This one comes in as ``bench.original_side``, adds
to the libraries what the published program expects of them, and runs its functions on inputs from files. Nothing of
the published program is kept here.
"""
