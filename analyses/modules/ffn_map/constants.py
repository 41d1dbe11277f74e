"""Names that the tables of a run use."""

NAME = "ffn-map"
FEWEST = 10
"""Held-out prompts of a capability that an interval needs before a claim is judged."""


def neuron_name(layer: int, number: int) -> str:
    """(3, 517) -> "L3N517"."""
    return f"L{int(layer)}N{int(number)}"


def parse_neuron(text: str) -> tuple[int, int] | None:
    """ "L3N517" -> (3, 517); None if it is no neuron's name."""
    layer, _, number = text.strip().upper().removeprefix("L").partition("N")
    if not all(part.isascii() and part.isdigit() and len(part) <= 9 for part in (layer, number)):
        return None
    return int(layer), int(number)
