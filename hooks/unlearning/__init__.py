"""Methods of unlearning, by themselves. What they leave is measured elsewhere."""
