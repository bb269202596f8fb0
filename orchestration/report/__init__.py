"""One HTML page that stands alone about everything an experiment file describes."""
