"""Tables over seeds, and the forms they are written in."""
