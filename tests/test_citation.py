"""How the workbench is cited."""

from __future__ import annotations

from pathlib import Path

import yaml

import workbench as wb

FILE = Path(__file__).parent.parent / "CITATION.cff"


def test_the_citation_is_of_this_version_and_names_who_made_it():
    cited = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == wb.__version__
    assert cited["authors"] == [{"name": "The Memory Workbench developers"}]
    assert cited["license"] == "Apache-2.0"
    assert {"message", "title", "type", "abstract"} <= set(cited)
