"""The places in the forward pass, under the names TransformerLens gives them.

I want to know which sites there are, or name a new one    -> names.py
I want to say where a site is in a model                   -> taps.py
I want to know what a model has, or what a user means      -> selection.py
"""

from hooks.sites.names import ATTENTION_SITES, SITES, STATE_SITES, Place, Site
from hooks.sites.selection import Sites, can_change, has, in_attention, resolve
from hooks.sites.taps import Tap, tap

__all__ = [
    "ATTENTION_SITES",
    "SITES",
    "STATE_SITES",
    "Place",
    "Site",
    "Sites",
    "Tap",
    "can_change",
    "has",
    "in_attention",
    "resolve",
    "tap",
]
