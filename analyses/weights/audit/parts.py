"""The parts of an audit: one for each kind of material."""

from __future__ import annotations

from typing import Literal

from workbench.parts import Part

Name = Literal["documents", "personal", "facts", "items"]

PARTS = [
    Part(
        "documents",
        "Documents",
        "Which documents come out word for word.",
        views=["Documents"],
    ),
    Part(
        "personal",
        "Personal data",
        "Which values of chosen fields (e-mail, phone, dates, your own patterns) come out after the"
        " text that stands before them.",
        views=["Personal data"],
    ),
    Part(
        "facts",
        "Facts",
        "Which answers it gives without any text to read them from.",
        views=["Facts"],
    ),
    Part(
        "items",
        "Test items",
        "Whether questions of a test were read: by the order of their options, and by completing"
        " the last one.",
        views=["Test items"],
    ),
]
DEFAULT: list[Name] = ["documents", "personal", "facts", "items"]
PRESETS = {
    "quick": {"passages": 200, "values": 100, "facts": 100, "items": 50},
    "paper": {"passages": 20_000, "values": 2000, "facts": 2000, "items": 1000},
}
