"""Names that the tables of a run use."""

NAME = "kv-memory"

UNKNOWN, IN_VIEW = VIEWS_OF_QUESTION = ("unknown", "in view")
"""Whether a policy scores before the question is known, or with it in view."""

FULL, ORACLE, RANDOM, RECENCY = "full cache", "oracle", "random", "recency"
CONTROLS = (RANDOM, RECENCY, ORACLE)
"""Not policies that are judged: chance, the newest without sinks, and what knows the answer."""

WHOLE, WITHOUT, ELSEWHERE = ("whole cache", "without the evidence", "without as much elsewhere")
"""The smearing test."""

FEWEST = 6
"""Contexts that an interval over contexts needs before a claim is judged."""
QUARTER = 0.25
LEAST_RECALL = 0.2
"""Share that the full cache has to recall for anything to be told of what may go."""
KEPT_HALF = 0.5
"""Share of the KV heads that have to keep some of the answer for it to count as kept."""
