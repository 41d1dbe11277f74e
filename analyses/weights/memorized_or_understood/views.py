"""What a run looks like: the views of its parts."""

from analyses.weights.memorized_or_understood import items_view
from workbench import views as v

VIEWS: list[v.View] = [
    *items_view.VIEWS,
]
