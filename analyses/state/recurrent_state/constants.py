"""What measuring and showing a run share."""

NAME = "recurrent-state"

MATRIX_TOKENS = 160
"""Prompts up to so long are shown token by token; their matrices grow with the square."""
MATRIX_BYTES = 24 * 2**20
"""Of the matrices of a run together; of more layers than fit, every second, third, … is kept."""
SPECTRA = 48
"""Tokens after which singular values are kept."""

TRACES = {
    "norm": "length of the state",
    "decay": "lost by decay",
    "erase": "erased by the delta rule",
    "write": "written",
    "net": "changed in all",
    "match": "already known",
    "surprise": "not predicted",
}
"""What is followed token by token, and what a person calls it."""

CHANGES = {
    "rewrite": "the pair rewritten",
    "transplant": "the state of a row with the new value",
    "erase": "the pair erased",
    "random": "a random rewrite of equal size",
    "wipe": "the whole state wiped",
}
"""What is done to a layer's state behind the pairs."""

CONTROLS = ("convolution", "last value", "shuffled", "untrained")
"""What a probe reads besides `state` and, with the key of the pair it looks for, `own key`."""
CHOSEN_ON, HELD_OUT = "choosing", "held out"
"""Rows on which a layer and a key are chosen, and others that say how well that does."""
