"""A detector behind HTTP: ``os2d.serve.app.create_app``, started by ``oneshot serve``."""
