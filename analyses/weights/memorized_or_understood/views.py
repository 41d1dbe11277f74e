"""What a run looks like: the views of its parts."""

from analyses.weights.memorized_or_understood import (
    attestation_view,
    items_view,
    kinds_view,
    popularity_view,
    puzzles_view,
    tables_view,
)
from workbench import views as v

VIEWS: list[v.View] = [
    *items_view.VIEWS,
    *puzzles_view.VIEWS,
    *attestation_view.VIEWS,
    *tables_view.VIEWS,
    *kinds_view.VIEWS,
    *popularity_view.VIEWS,
]
