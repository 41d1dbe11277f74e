"""What measuring and showing a run share."""

NAME = "memorized-or-understood"

TRAINED, FRESH, NEITHER = "trained", "fresh", "read by neither"
"""Puzzles that the model is known to have read, ones it cannot have, and ones that its clean twin
cannot have read either."""
MODEL, UNTRAINED, CLEAN = "this model", "untrained twin", "clean model"
"""Who is asked: the model, one of its build that learned nothing, one that read other items."""
ORIGINAL = "as it stands"
BOTH = "both"
"""Statement and leaf together."""
IN_OTHER_WORDS, SOLVED_LESS, LIKELY = "other words", "changed", "answer alone"
"""What a puzzle is scored by: ln p of its answer less that of its copies in other words, less that
of its changed copies, or alone."""
WITHIN = "read against fresh"
BETWEEN = "this against the clean model"
NULL = f"{BETWEEN}, read by neither"
"""What is told apart, and what must not be."""
SHUFFLED = "shuffled labels"
SINGLE, REVERSE, LETTERED, TRUE_FALSE, COMPARISON, TWO_HOPS = FORMS = (
    "single item", "reverse", "multiple choice", "true or false", "comparison", "two steps",
)  # fmt: skip
"""In which a fact is asked for."""
ALL = "all"
"""All families together."""
LEAST = 8
"""Items without which a share is shown with no verdict."""
