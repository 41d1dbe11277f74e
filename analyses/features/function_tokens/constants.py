"""What measuring and showing a run share."""

import numpy as np

from workbench.wording import percent

NAME = "function-tokens"

FIRST = 10
"""The paper's headline: what so many function tokens reach."""
STRONG = 0.05
"""Share of a feature's largest activation above which an edge also counts as strong."""
CURVES = {
    "coverage": "features",
    "above_5pct": f"above {percent(STRONG)} of maximum",
    "shuffled": "tokens shuffled",
    "random_directions": "random directions",
    "content": "as many content tokens",
    "matched": "function tokens",
    "content_matched": "content tokens",
}
GROUPS = ("F→F", "F→C", "C→F", "C→C")
MEASURES = {"model": "the model", "trigram": "trigrams", "unigram": "unigrams"}
"""Classes of the last token and of the next one, and what their losses are compared with."""
SENTENCE, QUESTION, LIST = "sentence", "question", "list"
WORDINGS = (SENTENCE, QUESTION, LIST)
"""How a fact is asked."""
ABLATIONS = {
    "reactivated": "reactivated, at the last token",
    "reactivated_at_subject": "the same, at the subject",
    "strongest_at_subject": "the subject's strongest, there",
    "reactivated_subset": "reactivated, as many as others",
    "others": "others, at the last token",
}
STEERINGS = {
    "last": "at the last token",
    "subject": "at the subject",
    "random": "random features, last token",
    "identity": "set to what they are",
}
"""What is switched off, and where features are steered."""
BINS = 2.0 ** np.arange(-8, 14.5, 0.5)
"""Edges of the histograms of activations; what lies beyond is counted in the first and the last
bin.
"""
