"""Tables of an audit that were made by hand, and what is said of them."""

from __future__ import annotations

import math

import pandas as pd

from analyses.measures.document_verdicts import NOTHING, PARTS, PATTERN, RECITES, SAMPLED
from analyses.weights.audit import findings, material
from workbench.result import Result

ITEM = {"question": "Which is it?", "options": ["red", "blue", "green"]}


def items_table(n, first, own, shuffled, **columns):
    """A table of items of which so many have each sign."""
    rows = range(n)
    return pd.DataFrame({
        "n_options": 4, "sorted": False, "chance": 0.2, "guessed": False, "has_control": True,
        "first": [i < first for i in rows], "comes_out": [i < own for i in rows],
        "shuffled": [i < shuffled for i in rows], **columns,
    })  # fmt: skip


def run_of(left_out=(), **tables):
    """A run with these tables, and what is said of it."""
    result = Result("audit")
    result.tables |= tables
    findings.add_findings(result, material.AuditMaterial(left_out=list(left_out)))
    return result


def documents_table(repeats=math.nan, **counts):
    """A table of documents, so many with each verdict."""
    names = {"whole": RECITES, "parts": PARTS, "sampled": SAMPLED, "pattern": PATTERN,
             "none": NOTHING}  # fmt: skip
    verdicts = [names[name] for name, n in counts.items() for _ in range(n)]
    return pd.DataFrame({"verdict": verdicts, "repeats": repeats})


def values_table(n, out, guessed=0, repeats=math.nan, has_control=True):
    """A table of personal values, or of facts."""
    rows = range(n)
    return pd.DataFrame({
        "field": ["date" if i % 3 else "phone" for i in rows], "repeats": repeats,
        "comes_out": [i < out for i in rows], "guessed": [i < guessed for i in rows],
        "has_control": has_control,
    })  # fmt: skip


FIELD_COUNTS = pd.DataFrame({"field": ["date", "phone"], "n_found": 9, "n_asked": 9})


def personal_run(*signs, **columns):
    """A run with a table of personal values alone."""
    return run_of(personal=values_table(*signs, **columns), fields=FIELD_COUNTS)


def every_branch():
    """All that may be said, of tables that were made for it."""
    for counts in ({"whole": 1}, {"whole": 2, "parts": 1}, {"parts": 2, "sampled": 1},
                   {"sampled": 1}, {"pattern": 3, "none": 1}, {"none": 9}):  # fmt: skip
        yield run_of(documents=documents_table(**counts))
        never = documents_table(0, whole=1, none=9)
        yield run_of(documents=pd.concat([documents_table(**counts), never]))
    for signs in ((9, 0), (9, 1), (9, 1, 1), (9, 6), (9, 6, 2), (9, 6, 6), (90, 1)):
        yield personal_run(*signs)
        yield personal_run(*signs, has_control=False)
        yield personal_run(*signs, repeats=0)
        yield run_of(facts=values_table(*signs))
        yield run_of(facts=values_table(*signs, has_control=False))
    for signs in ((9, 0, 0, 0), (9, 9, 9, 0), (9, 0, 9, 0), (99, 0, 4, 0), (99, 99, 0, 0)):
        for columns in ({}, {"sorted": True}, {"n_options": 2}):
            yield run_of(items=items_table(*signs, **columns))
    yield run_of(documents=documents_table(none=3), personal=values_table(9, 0),
                 fields=FIELD_COUNTS, facts=values_table(9, 0),
                 items=items_table(9, 0, 0, 0))  # fmt: skip
