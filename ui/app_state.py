"""What every page of one server shares: the models, the runs folder, the queue, what is drawn."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path

from ui.jobs import Jobs
from ui.model_shelf import ModelShelf
from ui.model_slot import ModelSlot
from ui.runs.render_cache import RenderCache
from workbench import runs
from workbench.errors import NotFound


@dataclass(frozen=True)
class AppState:
    """Args:
    root: the runs folder, None for the user's.
    local_paths: whether a page may name folders of this machine.
    server: another one with every start, by which a page sees that its server was started anew.
    """

    shelf: ModelShelf
    jobs: Jobs
    root: Path | None = None
    drawings: RenderCache = field(default_factory=RenderCache)
    local_paths: bool = True
    server: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def slot(self) -> ModelSlot:
        """The current model. It is another one after a switch: whoever needs it twice keeps it."""
        return self.shelf.current

    def entries(self) -> list[runs.RunEntry]:
        """Finished runs: the user's, then the samples; of each the pinned ones first, then the
        newest.
        """
        return runs.listing(self.root)

    def entry(self, run_id: str) -> runs.RunEntry:
        """The run of that id, which may lie in the folder of a grid.

        Ids are only ever compared with folder names that were listed, so none can lead elsewhere.
        """
        entries = self.entries()
        for entry in runs.with_runs_of_grids(entries):
            if entry.id == run_id:
                return entry
        raise NotFound.named(
            "run", run_id, [e.id for e in entries], do="The page Runs lists those there are."
        )
