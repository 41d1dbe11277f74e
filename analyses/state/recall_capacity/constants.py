"""What measuring and showing a run share."""

NAME = "recall-capacity"

PREFIX = "organism/recall-"
"""Names of the organisms that were trained on pairs alone begin so."""

DESIGNS = "mom"
"""Organisms whose names begin so differ in how one budget of state is divided."""

READINGS = {
    "once": "once",
    "twice": "twice",
    "shuffled": "twice, the second time in another order",
}
"""How often the pairs of a row are read, and what a person calls it."""

MEASURED, RECORDED = "measured here", "its record"
"""Where a number of the table `state_size` is from."""

RULES = {
    "p": "by frequency p",
    "sqrt": "by √p",
    "top": "the first d/8 alike",
    "equal": "all alike",
}
"""How strongly an outer-product memory stores its items, and what a person calls it."""
