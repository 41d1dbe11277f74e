"""What the tables and findings of a run mean: those of its parts."""

from analyses.weights.memorized_or_understood import items_schema
from workbench.schema import Schema

_PARTS = (items_schema,)

SCHEMA = Schema(
    tables=[table for part in _PARTS for table in part.TABLES],
    findings=[finding for part in _PARTS for finding in part.FINDINGS],
)
