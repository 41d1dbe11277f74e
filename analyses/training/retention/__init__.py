"""After how many readings does it recognize, recall, and for how long?

From kept steps of a training whose ledger says what was read when, and live: the asked model reads
new texts a few times (`workbench.lab`), and then other text.

params.py           what is asked; parts.py: its experiments; costs.py: what they cost
experiment.py       the run
step_tables.py       texts at kept steps, and the tables of recall
forgetting_tables.py  what is left after the last reading, and how long texts are recited
profile_tables.py   what a first reading caused, with bands
forecast_tables.py  what earlier steps tell of the last one; access along training
few_shot.py         reading a few times, live; few_shot_tables.py: its tables
dose_timing.py, access_remedies.py, triples.py, training_choices.py, repeated_data.py
                    parts that train a small model many times; lab_*.py: their schema, selections,
                    claims and views
findings.py, few_shot_findings.py  what is said; claims.py: what of the papers holds
schema.py           what tables and findings mean
selections.py       what is looked at of a run
views.py            how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.training.retention.card_cells import card
from analyses.training.retention.constants import NAME
from analyses.training.retention.params import Params
from analyses.training.retention.parts import PARTS, PRESETS
from analyses.training.retention.schema import SCHEMA
from analyses.training.retention.views import ANSWER, VIEWS

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result

__all__ = [
    "ANSWER",
    "PARTS",
    "PRESETS",
    "SCHEMA",
    "VIEWS",
    "Params",
    "card",
    "cost",
    "gives",
    "name",
    "question",
    "room",
    "run",
]

name = NAME
TITLE = "Retention"
room = "training"
question = "After how many readings does it recognize, recall, and for how long?"
gives = (
    "How many readings it takes until a text is recognized and recited, what a reading caused, and"
    " how fast it goes again, update by update."
)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.training.retention import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other.

    Raises:
        BadInput, Unfit: steps, ledger or weights that cannot be used; each says what to do.
    """
    from analyses.training.retention import experiment

    return experiment.run(model, params, progress)
