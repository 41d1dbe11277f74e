"""A run as a file for somebody else."""
