"""Publishing what a finished run learnt: everything that others need, in one folder."""
