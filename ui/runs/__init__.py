"""What every page says of a run: its answer, numbers, provenance, pictures."""
