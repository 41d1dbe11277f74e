"""What the first tab of the Playground offers to choose from: finished runs, and a second model."""

from __future__ import annotations

from ui.app_state import AppState
from ui.model_routes import offered
from ui.runs import cards
from workbench import registry
from workbench.disk_space import size

NO_RUN = NO_MODEL = ""


def run_choices(app: AppState) -> list[tuple[str, str]]:
    """Finished runs of this model whose analysis gives controls."""
    able = {a.name for a in registry.all_analyses()[0] if a.has_controls}
    runs = [
        e
        for e in app.entries()
        if not e.problem and e.analysis in able and e.model == app.slot.name
    ]
    return [
        ("none", NO_RUN),
        *(
            (f"{e.title}{' (sample)' if e.sample else ''}, {cards.when(e.started)}", e.id)
            for e in runs
        ),
    ]


def model_choices(app: AppState, chosen: str) -> list[tuple[str, str]]:
    """Models that can stand beside the current one: what is loaded, then what is on this machine.

    `chosen` stays among them.
    """
    current = app.slot
    found = {str(slot.ref): f"{slot.name} (loaded)" for slot in app.shelf.loaded()}
    for entry in offered(app):
        if entry.cached:
            about = f" ({size(entry.memory)})" if entry.memory else ""
            found.setdefault(entry.name, f"{entry.name}{about}")
    found.pop(str(current.ref), None)
    found.pop(current.name, None)
    if chosen:
        found.setdefault(chosen, chosen)
    return [("none", NO_MODEL), *((label, ref) for ref, label in found.items())]
