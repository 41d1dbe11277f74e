"""Names that the tables of a run use."""

NAME = "provenance"

PROMPT, WEIGHTS, STATE, SLOTS = SOURCES = ("prompt", "weights", "state", "memory modules")
BOTH, NEITHER, UNTOLD = "both", "neither", "cannot be told"
"""Verdicts besides a single source."""

SUBJECT, RANDOM = "subject", "random part"

MOST_SENTENCES = 40
"""Spans of a context that are hidden one by one."""
LONG = 400
"""Tokens of a prompt beyond which spans are searched in two steps, and fewer draws are made."""
DRAWS, DRAWS_LONG = 8, 4
"""Neutral texts that take the place of the context."""
PARTS_AT_RANDOM = 6
"""Spans of the question, as long as the subject, that are hidden beside it."""
AROUND = 24
"""Tokens of neutral text before a question that has no context."""
SUBJECT_TOKENS = 5
"""Of a subject that is looked for, at most."""
GROUP, RANDOM_GROUPS = 8, 10
"""Heads switched off together at most, and groups of as many random ones."""
GUESSED, DRAWN = "guessed", "drawn"
"""Why a feature is taken out: its gradient says that it pushes the answer, or by lot."""
TRIED_FEATURES = RANDOM_FEATURES = 8
"""Features of an autoencoder that are taken out one by one, and as many by lot."""

KEPT_STEPS, NEVER_READ = 3, 230
"""Steps of a training whose gradients are added up, and texts never read that stand beside those
that were.
"""
STANDS_OUT = 2.0
"""Times the strongest text that was never read, from which on a text is named."""
