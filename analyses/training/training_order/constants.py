"""What measuring and showing a run share."""

NAME = "training-order"

TEXT, ITEM = KINDS = ("text", "sentence")
"""What is read: the text of a block, and the sentence that is planted in it."""

FIRST, ZEROTH, STORED = "first order", "gradients alone", "first order, stored"
TRACIN, RECENCY, LATER = "TracIn", "recency curve", "read later"
OTHERS, MIXED = "mean of the others", "another order's estimate"
ONE_RUN = (FIRST, ZEROTH, STORED, TRACIN, RECENCY, LATER)
"""Predictors that see the reference run alone."""

DIRECTIONS, ESTIMATING = "directions", "estimates"
"""What took time: finding directions to store, and the estimates of all kinds together."""

LEAST_BLOCKS = 3
ITEM_TOKENS = 24
"""Of a planted sentence; its second half is to be recited."""
MOST_WEIGHTS = 5_000_000
"""An estimate holds three vectors of all weights for every order."""
EXTRA_ORDERS = 24  # so a store has at most as many directions
"""Further orders, whose distances from the reference span what a store would keep."""
BEFORE_ROWS, BEFORE_RATE = 8, 5e-3
"""Of the prose that a new model reads first, at an update; AdamW's rate there."""
