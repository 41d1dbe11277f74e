"""What the tables and findings of a run mean: those of its parts."""

from analyses.weights.memorized_or_understood import (
    attestation_schema,
    items_schema,
    kinds_schema,
    popularity_schema,
    puzzles_schema,
    tables_schema,
)
from workbench.schema import Schema

_PARTS = (
    items_schema,
    puzzles_schema,
    attestation_schema,
    tables_schema,
    kinds_schema,
    popularity_schema,
)

SCHEMA = Schema(
    tables=[table for part in _PARTS for table in part.TABLES],
    findings=[finding for part in _PARTS for finding in part.FINDINGS],
)
