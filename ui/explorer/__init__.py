"""The Panel page of one run, or of two side by side."""
