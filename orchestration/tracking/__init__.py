"""MLflow filled from the trial folders, by one writer at a time."""
