"""The built-in facts in other languages: `relation("capital@fr")`.

The wordings are lists ("Country: … Capital:"), since sentences would need articles and cases that
names do not come with; English has them too, so that languages can be compared.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from workbench.errors import NotFound
from workbench.facts.relation import Fact, Relation

# How a list names a country, its capital, its language, and a city.
TEMPLATES = {
    "en": ("English", "Country", "Capital", "Language", "City"),
    "de": ("German", "Land", "Hauptstadt", "Sprache", "Stadt"),
    "fr": ("French", "Pays", "Capitale", "Langue", "Ville"),
    "es": ("Spanish", "País", "Capital", "Idioma", "Ciudad"),
    "it": ("Italian", "Paese", "Capitale", "Lingua", "Città"),
    "pt": ("Portuguese", "País", "Capital", "Idioma", "Cidade"),
    "nl": ("Dutch", "Land", "Hoofdstad", "Taal", "Stad"),
    "pl": ("Polish", "Kraj", "Stolica", "Język", "Miasto"),
    "tr": ("Turkish", "Ülke", "Başkent", "Dil", "Şehir"),
    "id": ("Indonesian", "Negara", "Ibu kota", "Bahasa", "Kota"),
    "ru": ("Russian", "Страна", "Столица", "Язык", "Город"),
    "ja": ("Japanese", "国", "首都", "言語", "都市"),
    "zh": ("Chinese", "国家", "首都", "语言", "城市"),
}
FILE = Path(__file__).parent / "data" / "languages.csv"
RELATIONS = ("capital", "language", "city-country")
SOURCE = "Unicode CLDR, as packaged in Babel 2.18; inhabitants from GeoNames"
LICENCE = "Unicode License v3 (names), CC BY 4.0 (inhabitants)"


def language_names() -> dict[str, str]:
    """The languages by code, with their English names."""
    return {code: words[0] for code, words in TEMPLATES.items()}


def in_language(name: str, code: str) -> Relation:
    """A built-in relation in another language; English is its list form.

    Raises:
        NotFound: no such language, or a relation whose names are not known in it.
    """
    if code not in TEMPLATES:
        raise NotFound.named("language", code, TEMPLATES, do="Names of relations are NAME@CODE.")
    if name not in RELATIONS:
        raise NotFound.named("relation in other languages", name, RELATIONS)
    language, country, capital, spoken, city = TEMPLATES[code]
    asked, answered = {
        "capital": (country, capital),
        "language": (country, spoken),
        "city-country": (city, country),
    }[name]
    wide = code in {"ja", "zh"}
    colon, stop = ("：", "。") if wide else (" :" if code == "fr" else ":", ". ")
    space = "" if wide else " "
    start = f"{asked}{colon}{space}{{subject}}{stop}{answered}{colon}"
    return Relation(
        name=f"{name}@{code}",
        kind="cities" if name == "city-country" else "countries",
        asks=f"{answered} of a {asked}, in {language}?",
        closed_book=start,
        statement=f"{start}{space}{{answer}}{stop.strip()}",
        question=f"{{subject}}, {answered}?",
        lead_in=start,
        popularity="inhabitants of the country",
        facts=_facts()[code, name],
        source=SOURCE,
        licence=LICENCE,
    )


@cache
def _facts() -> dict[tuple[str, str], tuple[Fact, ...]]:
    found: dict[tuple[str, str], list[Fact]] = {}
    with FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            fact = Fact(row["subject"], row["answer"], float(row["popularity"]))
            found.setdefault((row["language"], row["relation"]), []).append(fact)
    return {key: tuple(facts) for key, facts in found.items()}
