"""Side by side with the peers, in one process, on the same weights. `make bench` prints ratios."""
