"""Finished runs that open without a model. `python -m sample_runs.make` makes them again."""
