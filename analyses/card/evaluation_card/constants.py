"""Names that the tables of a card use."""

NAME = "card"
MEASURED, MISSING, CANNOT = "measured", "not measured", "cannot be measured"
"""The states of a row."""
APART, CHANCE, NO_NULL = "told from chance", "as by chance", "no null or interval"
"""How a cell stands to its null."""
ALPHA = 0.05
"""Of the whole card (Holm)."""
