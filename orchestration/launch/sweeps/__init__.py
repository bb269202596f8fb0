"""Who follows the sweeps of a plan, and what their controllers decide."""
