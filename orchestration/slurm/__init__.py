"""SLURM's commands, its queue, and the job around this process."""
