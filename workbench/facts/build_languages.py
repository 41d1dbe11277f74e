"""Make `data/languages.csv` again: the names of countries, capitals and languages in other
languages, from CLDR as packaged in Babel. `python -m workbench.facts.build_languages`.

The cities are CLDR's exemplar cities of time zones, which many capitals are. Currencies are left
out: their names say the country ("Japanese yen"), so that the answer can be copied.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from workbench.facts.build import countries
from workbench.facts.languages import FILE, RELATIONS, TEMPLATES

COLUMNS = ("language", "relation", "subject", "answer", "popularity")


def rows() -> Iterator[tuple[str, str, str, str, int]]:
    """Every fact in every language: language, relation, subject, answer, inhabitants."""
    from babel import Locale

    for language in TEMPLATES:
        locale = Locale.parse(language)
        cities = _cities(locale)
        for relation in RELATIONS:
            for country in countries():
                name = locale.territories.get(country["iso"])
                for subject, answer in _facts(relation, country, name, cities, locale):
                    yield language, relation, subject, answer, country["population"]


def _facts(
    relation: str, country: dict[str, Any], name: str | None, cities: dict[str, str], locale: Any
) -> Iterator[tuple[str, str]]:
    """The facts of one country; none where a name is missing, or says the answer itself."""
    capital = cities.get(country["capital"])
    code = re.split(r"[-,]", country["languages"])[0]
    spoken = locale.languages.get(code)
    pair = {
        "capital": (name, capital),
        "city-country": (capital, name),
        "language": (name, spoken),
    }[relation]
    subject, answer = pair
    if subject and answer and answer not in subject and subject not in answer:
        yield subject, answer


def _cities(locale: Any) -> dict[str, str]:
    """Cities of time zones by their English name."""
    from babel.dates import get_timezone_location

    zones = [zone for zone in sorted(available_timezones()) if zone.count("/") == 1]
    return {
        zone.split("/")[1].replace("_", " "): get_timezone_location(
            zone, locale=locale, return_city=True
        )
        for zone in zones
        if not zone.startswith(("Etc/", "US/", "Canada/", "Brazil/", "Mexico/", "Chile/"))
    }


def text() -> str:
    """The file as it lies in `data/`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows())
    return out.getvalue()


def write(file: Path = FILE) -> Path:
    """Write the file."""
    file.write_text(text(), encoding="utf-8", newline="")
    return file


if __name__ == "__main__":
    print(write())
