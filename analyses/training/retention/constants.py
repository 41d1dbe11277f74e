"""What measuring and showing a run share."""

NAME = "retention"

SOON, LATER = "lately", "long ago"
"""Texts whose last reading lies in the last third of the training, and the others."""
RECENT = 1 / 3
CHANCE, RECOGNIZED, RECALLED = 0.5, 0.75, 0.5
"""Of a test with two texts; halfway to perfect; half of the texts."""
DOSES = {"all": (1, 10**9), "1 to 4 readings": (1, 4), "8 and more": (8, 10**9)}
SHOWN = 24
"""Texts of which every token is kept at every step."""
FORECAST = 32
"""Tokens given, and tokens that are to follow (Biderman et al. 2023); half a text where it has
fewer than 64."""
CONTEXTS = (8, 16, 32, 64)
FEW = 8
"""Texts without which a mean is not shown."""

RESET, WARMED, KEPT = VARIANTS = ("moments reset", "reset, with warm-up", "moments kept")
"""How the optimizer goes from studying to what interferes."""
NOVEL, WORD, SHUFFLED = FOILS = ("a new text", "a changed word", "another order")
EARLY_DROP = 10
"""Updates of the early drop (Orhan 2023)."""
LEAST_RECITED = 1.0
"""Mean tokens recited right after studying, without which nothing is said of what is lost."""
TELLING_DROP = 0.2
"""Share of tokens that the first updates have to take before anything is said of why."""
