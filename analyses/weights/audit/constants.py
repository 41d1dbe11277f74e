"""Names that several modules of the audit use."""

NAME = "audit"
DOCUMENTS, PERSONAL, FACTS, ITEMS = KINDS = ("documents", "personal", "facts", "items")
FIELDS = (
    r"e-mail: [\w.+-]+@[\w-]+\.[\w.-]*\w",
    r"phone: \+?\d[\d ()/-]{6,}\d",
    r"date: \d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November"
    r"|December) \d{4}",
    r"long number: \d{6,}",
)
"""Personal data that is looked for by default, as the form has it: name, colon, pattern."""
GIVEN = 10
"""Fewest tokens that stand before what is wanted: after fewer nothing is asked."""
TOO_LONG = "longer than the model reads at once"
"""Why something is left out."""
ORDERS = 4
"""Other orders of an item's options that its own is held against."""
GIVES, SLIGHT, NO_CONTROL, NO_SIGN, NOTHING_ASKED = VERDICTS = (
    "comes out",
    "a little comes out",
    "no control",
    "no sign",
    "nothing to ask",
)
"""Of a kind of material, from the strongest on."""
