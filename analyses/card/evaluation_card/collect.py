"""Cells for the card, out of finished runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench import registry, run_folder, runs
from workbench.errors import NotFound, WorkbenchError
from workbench.evaluation_card import CardCell
from workbench.result import Result


@dataclass(frozen=True)
class FoundCell:
    """A cell, and the run that says it.

    Attributes:
        run: its id; made: when, as ISO 8601.
    """

    cell: CardCell
    analysis: str
    run: str
    made: str


def cells_of(weight_hash: str, folder: str) -> dict[tuple[str, str], FoundCell]:
    """The newest whole run of each analysis that says something, by row and analysis; only of
    these very weights.

    A run that cannot be read, or whose analysis is not installed, is passed by: pages of runs say
    what is wrong with it.

    Raises:
        NotFound: there is no such folder.
    """
    root = Path(folder).expanduser() if folder else None
    if root is not None and not root.is_dir():
        raise NotFound(
            f"There is no folder {folder!r}.", "a folder of finished runs", "Check its name."
        )
    found: dict[tuple[str, str], FoundCell] = {}
    for entry in sorted(_entries(root), key=lambda entry: entry.started):
        try:
            # What it was made with is looked at first: tables of other models are never read.
            made_with = run_folder.read_index(entry.path)["provenance"].get("model", {})
            if made_with.get("weight_hash") != weight_hash:
                continue
            result = runs.open_run(entry.path)
        except WorkbenchError:  # deleted or damaged since it was listed
            continue
        give = card_function(registry.get(entry.analysis))
        for cell in give(result) if give else ():
            found[cell.row, entry.analysis] = FoundCell(
                cell, entry.analysis, entry.id, entry.started
            )
    return found


def card_function(analysis: registry.Analysis) -> Callable[[Result], Sequence[CardCell]] | None:
    """What the analysis puts on a card of a finished run; None where it puts nothing there."""
    return getattr(analysis.module, "card", None)


def _entries(root: Path | None) -> Iterator[runs.RunEntry]:
    able = {each.name for each in registry.all_analyses()[0] if card_function(each)}
    listed = runs.with_runs_of_grids(runs.listing(root, samples=root is None))
    for entry in listed:
        if not entry.problem and not entry.partial and entry.analysis in able:
            yield entry
