"""What recall tasks are made of: common words, facts to hide, and sentences to hide them among.

Words are short and frequent, so that most tokenizers have each as one token behind a space.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from workbench.facts import neutral_text

_NAMES = """
Anna Ben Carl David Emma Frank George Harry Isaac Jack Kate Laura Mary Nick Oliver Paul
Rachel Sarah Thomas Victor Walter Alice Brian Chris Diana Edward Fred Grace Helen Ian James
Kevin Linda Martin Nancy Oscar Peter Robert Simon Tom William Adam Bill Charles Daniel Eric
Henry Jane Julia Lisa Mark Michael Rose Ruth Sam Steve Susan Tony
"""
NAMES = tuple(_NAMES.split())
"""First names: the keys of lists."""
_WORDS = """
apple bread castle desk engine flag garden hammer island jacket kitchen ladder mirror needle
orange paper queen river silver table umbrella valley window yellow anchor basket candle
dragon eagle feather glass honey iron jewel king lemon mountain nail ocean pencil rabbit
salt tiger violin wheel bottle copper door egg forest gold hat ice knife leaf moon nest oil
piano ring stone tower wagon bell chair drum fish guitar horse lamp milk net onion plate
rope shoe train wood ball boat bone book bridge camera coffee corn cup dance farm fire
flower gate
"""
WORDS = tuple(_WORDS.split())
"""Things: the values of lists. No first name is among them."""

_GRASS = (
    "The grass is green.",
    "The sky is blue.",
    "The sun is yellow.",
    "Here we go.",
    "There and back again.",
)
FILLERS = ("prose", "repeated", "stories")
_STORIES = """
The bus was late this morning. A tall woman opened the window and looked down at the street.
Two children shared a sandwich on the stairs. Nobody had watered the plants for a week. The
clerk put the letters into a drawer and went home. It rained until the middle of the
afternoon. A dog slept under the bench in front of the shop. The old man counted his coins
twice. Somebody had painted the fence white. The radio played a slow song. They walked along
the wall and talked about the weather. The lift stopped between two floors. A boy threw
pebbles into the pond. The soup was still too hot. She folded the map and put it back on the
shelf. The last lamp on the corner had gone out. Behind the house stood three tall trees. He
bought a ticket and sat down near the door. The neighbours had gone away for the summer. Her
coat hung over the chair. The shop closed at six. A cat looked at them from the roof.
"""


@cache
def sentences(filler: str) -> tuple[str, ...]:
    """The sentences of a filler, each whole, in order: of prose the shipped neutral text, of
    `repeated` the five that passkey tests repeat, of `stories` unconnected events.
    """
    if filler == "repeated":
        return _GRASS
    text = " ".join((_STORIES if filler == "stories" else neutral_text()).split())
    return tuple(re.split(r"(?<=[.!?]) (?=[A-Z])", text))


@dataclass(frozen=True)
class HiddenFact:
    """A fact that can be hidden in a text.

    Attributes:
        name: what it is called in tables.
        statements: sentences that say it, with {} for the answer.
        asks: texts that the answer follows.
        known: what the world answers; "" where it is made up.
        others: further answers of the same kind.
    """

    name: str
    statements: tuple[str, ...]
    asks: tuple[str, ...]
    known: str
    others: tuple[str, ...]


_CITIES = ("Rome", "Madrid", "Berlin", "London", "Tokyo", "Cairo", "Moscow", "Vienna")
_MONEY = ("dollar", "euro", "pound", "franc", "peso", "ruble", "krone")
_TONGUES = ("English", "French", "German", "Chinese", "Russian", "Italian", "Greek")
_THINGS = ("lantern", "violin", "copper", "ladder", "feather", "basket", "pencil", "mirror")
_PEOPLE = ("Oscar", "Walter", "Simon", "Victor", "Martin", "Henry", "Adam", "Frank")
_COLOURS = ("purple", "green", "yellow", "orange", "white", "black", "blue", "red")

MADE_UP = (
    HiddenFact(
        "cupboard",
        (
            "The word that opens Marta's cupboard is {}.",
            "Say {} in front of Marta's cupboard, and it opens.",
        ),
        (
            "\n\nThe word that opens Marta's cupboard is",
            "\n\nQuestion: Which word has to be said in front of Marta's cupboard?\nAnswer:",
        ),
        "",
        _THINGS,
    ),
    HiddenFact(
        "cook",
        (
            "The cook at the Blue Heron inn is named {}.",
            "At the Blue Heron inn all meals are made by {}.",
        ),
        (
            "\n\nThe cook at the Blue Heron inn is named",
            "\n\nQuestion: Who makes the meals at the Blue Heron inn?\nAnswer:",
        ),
        "",
        _PEOPLE,
    ),
    HiddenFact(
        "platform",
        (
            "The train to Ellerby leaves from the platform that is painted {}.",
            "Whoever travels to Ellerby has to wait on the {} platform.",
        ),
        (
            "\n\nThe train to Ellerby leaves from the platform that is painted",
            "\n\nQuestion: What is the colour of the platform for Ellerby?\nAnswer:",
        ),
        "",
        _COLOURS,
    ),
)
KNOWN = (
    HiddenFact(
        "capital of France",
        ("The capital of France is {}.", "The French government sits in the capital, {}."),
        (
            "\n\nThe capital of France is",
            "\n\nQuestion: What is the capital of France?\nAnswer:",
        ),
        "Paris",
        _CITIES,
    ),
    HiddenFact(
        "currency of Japan",
        ("The currency of Japan is the {}.", "Whatever one buys in Japan is paid in the {}."),
        (
            "\n\nThe currency of Japan is the",
            "\n\nQuestion: What do people pay with in Japan?\nAnswer: They pay with the",
        ),
        "yen",
        _MONEY,
    ),
    HiddenFact(
        "language of Brazil",
        ("The official language of Brazil is {}.", "In the schools of Brazil children speak {}."),
        (
            "\n\nThe official language of Brazil is",
            "\n\nQuestion: Which language do people in Brazil speak?\nAnswer:",
        ),
        "Portuguese",
        _TONGUES,
    ),
)
