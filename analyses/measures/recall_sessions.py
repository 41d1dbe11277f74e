"""Conversations on several days, and what is asked of them on the last one."""

from __future__ import annotations

import numpy as np

from analyses.measures.recall_contexts import Context, RecallQuestion
from analyses.measures.recall_words import NAMES
from analyses.measures.recall_writing import drawn, placed, spaced

CITIES = ("Rome", "Paris", "Berlin", "London", "Madrid", "Vienna", "Tokyo", "Boston", "Chicago")
RULE, NO_RULE, REVOKED = RULES = ("a rule was given", "no rule was given", "it was taken back")
FACT, UPDATE, TIME, NEVER, PROSPECTIVE = KINDS = (
    "fact", "update", "time", "never said", "standing rule",
)  # fmt: skip
UNKNOWN = "unknown"
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday")
_TALK = (
    "User: It rained again today.\nAssistant: I hope you stayed dry.\n",
    "User: I cooked soup for lunch.\nAssistant: That sounds good.\n",
    "User: The bus was late this morning.\nAssistant: How annoying.\n",
    "User: I read a long book.\nAssistant: Did you like it?\n",
)


def sessions(seed: int) -> Context:
    """Four days: two friends and where they live, one of whom moves; asked is where each lives now,
    on which day the move was told, and where a third one lives, of whom nothing was said.
    """
    rng = np.random.default_rng([seed, 53])
    stays, moves, never = drawn(rng, NAMES, 3)
    home, old, new, *others = drawn(rng, CITIES, len(CITIES))
    talk = drawn(rng, _TALK, len(_TALK))
    told = int(rng.integers(1, 4))  # on which day the move is told
    said = {
        0: f"User: My friend {moves} lives in {old}.\nAssistant: I see.\n",
        told: f"User: My friend {moves} has moved to {new}.\nAssistant: I see.\n",
    }
    fact_day = int(rng.permutation([n for n in range(4) if n not in said])[0])
    said[fact_day] = f"User: My friend {stays} lives in {home}.\nAssistant: I see.\n"
    pieces = [f"{day}.\n{talk[n]}{said.get(n, '')}" for n, day in enumerate(_DAYS)]
    text, days = placed(pieces)
    cities = spaced([home, old, new, *others[:4], UNKNOWN])

    def asked(name: str, answer: str, day: int | None, kind: str) -> RecallQuestion:
        ask = f"Friday.\nUser: Where does my friend {name} live now?\nAssistant: {name} lives in"
        place = days[day] if day is not None else (0, 0)
        return RecallQuestion(ask, f" {answer}", cities, place, kind)

    when = RecallQuestion(
        f"Friday.\nUser: On which day did I say that {moves} has moved?\nAssistant: It was on",
        f" {_DAYS[told]}", spaced(_DAYS), days[told], TIME,
    )  # fmt: skip
    questions = (
        asked(stays, home, fact_day, FACT),
        asked(moves, new, told, UPDATE),
        when,
        asked(never, UNKNOWN, None, NEVER),
    )
    return Context(text, questions, (), {"task": "sessions", "condition": "4 days"})


def standing_rule(seed: int) -> list[Context]:
    """A rule for the end of each answer, given on the first day and never mentioned again.

    Beside it the same days without the rule, and with the rule taken back, where a plain end is
    right.
    """
    rng = np.random.default_rng([seed, 59])
    talk = drawn(rng, _TALK, len(_TALK))
    given = "User: From now on, end every answer with a star.\nAssistant: I will *\n"
    back = "User: Forget the star, it is no longer needed.\nAssistant: I will.\n"
    found = []
    for condition in RULES:
        first = given if condition != NO_RULE else ""
        last = back if condition == REVOKED else ""
        pieces = [f"{day}.\n{first if n == 0 else ''}{talk[n]}{last if n == 2 else ''}"
                  for n, day in enumerate(_DAYS)]  # fmt: skip
        text, days = placed(pieces)
        ask = "Friday.\nUser: I bought a new lamp.\nAssistant: I hope it is bright"
        right = " *" if condition == RULE else "."
        question = RecallQuestion(ask, right, (" *", "."), days[0], PROSPECTIVE)
        facts = {"task": "standing rule", "condition": condition}
        found.append(Context(text, (question,), (), facts))
    return found
