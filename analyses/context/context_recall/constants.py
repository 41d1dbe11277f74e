"""Names that the tables of a run use."""

from analyses.measures.recall_contexts import CORRECT, INTRUSION, OTHER, PRIOR

NAME = "context-recall"

OUTCOME_WORDS = {
    CORRECT: "correct",
    INTRUSION: "another item's answer",
    PRIOR: "what it says without the text",
    OTHER: "another answer",
}
LISTS, REORDERED, NUMBERED, TWIN = CONDITIONS = (
    "lists",
    "same pairs, another order",
    "lines numbered",
    "untrained twin",
)
"""Of lists of pairs."""
FREE, SHUFFLED, FREE_TWIN = FREE_CONDITIONS = (
    "lists", "same words, another order", "untrained twin",
)  # fmt: skip
"""Of lists of words that are recalled in any order."""
ENDS = 3
"""Positions that count as the beginning of a list, and as its end."""
RETRIEVAL, INDUCTION, RANDOM, INTACT = (
    "retrieval heads",
    "induction heads",
    "random heads",
    "none",
)
"""Sets of heads that are switched off."""
TASKS = ("needles", "repeated text", "closed book")
"""What is asked with heads switched off."""
THRESHOLD = 0.1
"""Of the retrieval score: a head above it is a retrieval head (Wu et al. 2024)."""
SHARE = 0.05
"""Of all heads: fewer are retrieval heads, says the paper."""
FEWEST = 6
"""Needles or lists without which a claim is not judged."""
