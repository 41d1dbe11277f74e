"""What the tables and findings of a run mean: those of its parts."""

from analyses.claims import FINDING as CLAIMS_FINDING
from analyses.claims import TABLE as CLAIMS_TABLE
from analyses.weights.memorized_or_understood import (
    attestation_schema,
    components_schema,
    items_schema,
    kinds_schema,
    popularity_schema,
    probes_schema,
    puzzles_schema,
    recited_schema,
    structure_schema,
    tables_schema,
    traps_schema,
)
from workbench.schema import FindingSchema, Schema

_PARTS = (
    items_schema,
    structure_schema,
    components_schema,
    probes_schema,
    puzzles_schema,
    attestation_schema,
    tables_schema,
    kinds_schema,
    popularity_schema,
    traps_schema,
    recited_schema,
)

SCHEMA = Schema(
    tables=[*(table for part in _PARTS for table in part.TABLES), CLAIMS_TABLE],
    findings=[
        FindingSchema("answer", "Solved, or seen", "difference of shares"),
        *(finding for part in _PARTS for finding in part.FINDINGS),
        CLAIMS_FINDING,
    ],
)
