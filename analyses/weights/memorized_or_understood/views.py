"""What a run looks like: the views of its parts."""

from analyses.claims import view as claims_view
from analyses.weights.memorized_or_understood import (
    attestation_view,
    claims,
    components_view,
    items_view,
    kinds_view,
    popularity_view,
    probes_view,
    puzzles_view,
    recited_view,
    structure_view,
    tables_view,
    traps_view,
)
from workbench import views as v

ANSWER = v.Answer(
    ("answer", "limem", "items"), picture=("Puzzles", 0),
    beside=("untrained_puzzles", "item_nulls"),
)  # fmt: skip
VIEWS: list[v.View] = [
    *items_view.VIEWS,
    *structure_view.VIEWS,
    *components_view.VIEWS,
    *puzzles_view.VIEWS,
    *probes_view.VIEWS,
    *attestation_view.VIEWS,
    *tables_view.VIEWS,
    *kinds_view.VIEWS,
    *popularity_view.VIEWS,
    *traps_view.VIEWS,
    *recited_view.VIEWS,
    claims_view(claims.CLAIMS, claims.ABOUT),
]
