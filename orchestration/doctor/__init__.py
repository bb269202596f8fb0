"""What `oneshot doctor` looks at."""
