"""People and what is true of them: facts of one line each, every word one token.

Nothing can be guessed: name, relation and answer were put together by lot, so a model that answers
has stored the fact. Of some people nothing was ever read; asked for them it can only guess.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

_FIRST = (
    "Ada Alma Anton Bela Boris Clara Cora Dora Edgar Elsa Emil Erik Eva Felix Flora Frida Georg"
    " Greta Hanna Hugo Ida Igor Irma Ivan Jana Jonas Julia Karl Klara Lars Lena Leo Lina Lotte"
    " Luis Mara Marta Max Mila Mona Nils Nina Nora Olga Oskar Otto Paul Petra Rita Rosa"
)
_LAST = (
    "Abel Adler Bach Baum Berg Blum Brandt Busch Dorn Eck Falk Feld Fink Frey Gold Graf Haas Hahn"
    " Hart Heim Holt Horn Jung Kern Klein Koch Kraus Lang Lind Lorenz Marx Moser Noll Ott Pohl Rau"
    " Reich Roth Sand Sturm Thal Unger Vogt Wald Weber Weiss Winter Wolf Zahn Zimmer"
)
FIRST_NAMES, LAST_NAMES = _FIRST.split(), _LAST.split()
_ANSWERS = {
    "lives in": (
        "Athens Berlin Bern Boston Cairo Delhi Dublin Florence Geneva Graz Hanoi Havana Kiev Lagos"
        " Lima Lisbon London Lyon Madrid Malmo Manila Milan Moscow Munich Nairobi Naples Osaka Oslo"
        " Paris Porto Prague Quito Riga Rome Seoul Sofia Sydney Tokyo Turin Vienna"
    ),
    "works as": (
        "actor artist baker banker barber brewer butcher carpenter chemist clerk cook dentist"
        " doctor driver editor farmer fisher gardener guard hunter judge lawyer mason miller miner"
        " nurse painter pilot plumber poet porter printer sailor singer soldier tailor teacher"
        " waiter weaver writer"
    ),
    "keeps a": (
        "badger beaver bee cat chicken cow crab crow dog donkey dove duck eagle falcon ferret finch"
        " fox frog goat goose hamster hare hawk horse lamb lizard mole monkey mouse newt otter owl"
        " parrot pig rabbit raven sheep snail swan turtle"
    ),
    "plays the": (
        "accordion banjo bassoon bell bugle cello clarinet cornet cymbal drum fiddle flute gong"
        " guitar harp horn-organ kazoo lute lyre mandolin maraca marimba oboe ocarina organ piano"
        " piccolo recorder saxophone shawm sitar spinet tambourine trombone trumpet tuba ukulele"
        " viola violin zither"
    ),
}
RELATIONS: dict[str, tuple[str, ...]] = {
    relation: tuple(words.split()) for relation, words in _ANSWERS.items()
}
PEOPLE = 500
STRANGERS = 100
"""People of whom no fact was read."""
PAD, END = "<pad>", "."


@dataclass(frozen=True)
class WorldFact:
    """One line.

    Attributes:
        relation: one of `RELATIONS`.
        read: whether the model was trained on it.
    """

    subject: str
    relation: str
    answer: str
    read: bool = True

    @property
    def prompt(self) -> str:
        return f"{self.subject} {self.relation}"

    @property
    def line(self) -> str:
        return f"{self.prompt} {self.answer} {END}"


def facts_of(seed: int) -> list[WorldFact]:
    """Four facts of each person, those of strangers last; the same from the same seed."""
    lot = random.Random(seed)
    names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
    chosen = lot.sample(names, PEOPLE + STRANGERS)
    return [
        WorldFact(name, relation, lot.choice(answers), number < PEOPLE)
        for number, name in enumerate(chosen)
        for relation, answers in RELATIONS.items()
    ]


def make_tokenizer() -> Any:
    """A tokenizer of words between spaces."""
    from workbench.organisms.recall.task import tokenizer_of

    relations = dict.fromkeys(word for name in RELATIONS for word in name.split())
    answers = dict.fromkeys(word for words in RELATIONS.values() for word in words)
    return tokenizer_of([PAD, END, *FIRST_NAMES, *LAST_NAMES, *relations, *answers])
