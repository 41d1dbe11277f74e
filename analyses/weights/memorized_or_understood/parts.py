"""The experiments of a run.

Each is a module of its own, `NAME_part.py`, with `cost(model, params)` and `run(model, params,
progress, result)`, which adds its tables and findings to the result; experiment.py calls those that
are asked for, in the order of `PARTS`. What its tables mean stands in `NAME_schema.py` (`TABLES`,
`FINDINGS`), its views in `NAME_view.py` (`VIEWS`), and neither imports torch: schema.py and
views.py put them together. To add one: these three files, a `Part` below, a line in each of
`MODULES` (experiment.py), schema.py and views.py, its fields in params.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.errors import WorkbenchError
from workbench.parts import Part

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Name = Literal[
    "items",
    "structure",
    "components",
    "puzzles",
    "path",
    "probes",
    "attestation",
    "tables",
    "kinds",
    "popularity",
    "traps",
    "recited",
]


def no_path(model: InstrumentedModel) -> str | None:
    """Why a model cannot be watched while it learned puzzles, or None."""
    from analyses.measures.exposure_series import own_series
    from workbench.organisms.puzzles import puzzle_record

    try:
        record, series = puzzle_record.read_home(model.module), own_series(model)
    except WorkbenchError as error:  # a damaged record, or steps that do not fit together
        return error.what
    if record is None:
        return f"{model.card.name} was not trained on puzzles that are known; organism/puzzles was."
    if series is None:
        return f"{model.card.name} keeps no steps of its training; organism/puzzles does."
    return None


def no_mlps(model: InstrumentedModel) -> str | None:
    """Why nothing can be read off its MLPs, or None."""
    return None if "mlp_out" in model.sites else "Its layers have no MLP of their own."


def no_training(model: InstrumentedModel) -> str | None:
    """Why no copy of a model can be trained, or None."""
    from workbench.models.storage import is_offloaded, is_quantized

    if is_quantized(model.module) or is_offloaded(model.module):
        return f"The weights of {model.card.name} are quantized or offloaded."
    return None


PARTS = [
    Part(
        "items",
        "Items and their variants",
        "Whether what is answered is answered in other words too, and when the right answer"
        " changes.",
        views=["Items", "Shortcuts"],
    ),
    Part(
        "structure",
        "One fact in other forms",
        "Whether a fact that is completed is also answered from its other end, with options, as"
        " true or false, and through another fact.",
        views=["Structure"],
    ),
    Part(
        "components",
        "Made of what was read",
        "Whether items are answered more often where the words of the answer stand in what the"
        " model has read.",
        needs=["read"],
        stands_on=["items"],
        views=["Components"],
    ),
    Part(
        "puzzles",
        "Knights and knaves",
        "Whether puzzles are solved whose copies, a little changed, are not, beside chance and"
        " fresh puzzles.",
        views=["Puzzles", "Sizes"],
    ),
    Part(
        "path",
        "Puzzles along training",
        "When puzzles that are read again and again are memorized, and whether fresh ones are"
        " solved more often then, or less.",
        unavailable_reason=no_path,
        views=["Along training"],
    ),
    Part(
        "probes",
        "Puzzles, layer by layer",
        "Whether it can be read off the MLPs that a statement about a puzzle is true.",
        unavailable_reason=no_mlps,
        views=["Probes"],
    ),
    Part(
        "attestation",
        "Premise or memory",
        "Whether it says that something follows because it follows, or because it knows it.",
        views=["Attestation"],
    ),
    Part(
        "tables",
        "Tables by heart",
        "Whether it says the rows and values of a table word for word, beside tables like it that"
        " nobody has read.",
        views=["Known tables"],
    ),
    Part(
        "kinds",
        "Kinds of text",
        "Whether prose, code, licences, keys or numbers come out word for word, beside generated"
        " texts of their kind.",
        views=["Kinds of text"],
    ),
    Part(
        "popularity",
        "Popularity and looking up",
        "Whether it is popular facts that are known, and whether looking up the others pays.",
        views=["Popularity"],
    ),
    Part(
        "traps",
        "Copyright traps",
        "Whether sequences put into a text show that it was read, by their length, perplexity and"
        " how often they stand there; a copy of the model reads them.",
        unavailable_reason=no_training,
        views=["Copyright traps"],
    ),
    Part(
        "recited",
        "What recited texts are like",
        "How recited texts differ from others of their kind, and what comes near without being word"
        " for word.",
        views=["Recited or not", "Near copies"],
    ),
]
DEFAULT: list[Name] = ["items", "structure", "components", "puzzles", "path"]
PRESETS: dict[str, dict[str, object]] = {
    "quick": {"items": 20, "puzzles": 8},
    "paper": {
        "items": 200,
        "puzzles": 100,
        "premise_facts": 100,
        "table_rows": 100,
        "kind_texts": 20,
        "popularity_facts": 100,
        "trap_count": 20,
        "recited_windows": 1000,
    },
}
