"""Names that the tables of a run use."""

NAME = "fact-tracing"

FIRST, MIDDLE, SUBJECT, FURTHER, LAST = CLASSES = (
    "first subject token",
    "middle subject tokens",
    "last subject token",
    "further tokens",
    "last token",
)
"""Where a traced token stands. A subject of one token has its last alone."""
PERMUTED = "permuted tokens"
"""The null: what any class would show if labels were dealt to the tokens at random."""

STATE, MLP, ATTENTION = KINDS = ("state", "MLP", "attention")
SEVERED = {"no_mlps": "state, no MLPs", "no_attention": "state, no attention"}
"""States restored with what is severed at their token."""
NOISE, RESAMPLE = CORRUPTIONS = ("noise", "another subject")

RANDOM = "random tokens"
SPANS = ("subject", "subject's last", "relation", "itself", "first token", RANDOM)
"""Whose attention from the last token is blocked."""

TOP = 50
"""Likeliest tokens among which attributes are looked for (Geva et al. 2023)."""
DRAWS = 2000
"""Of permutations and bootstraps."""
LEAST = 4
"""Facts without which a mean is shown with no interval."""
FEWEST = 8
"""Facts that an interval over facts needs before a claim is judged."""
