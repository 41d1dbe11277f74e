"""Sweeps: the exact effect of every head, layer, neuron, position or edge, far below the price of
one pass each.

I want the effect of each part          -> sweep (sweep.py): the public door
I want to know what is not recomputed   -> batched_forward.py, and docs/methods/exact-sweeps.md
I want other components to be changed   -> over.py
I want another way to change them       -> change.py (the request), values.py (the numbers)
I want another number to be read off    -> hooks/metrics, or pass a function as `read`
I want head-to-head edges               -> paths.py
I want the states of recurrent layers   -> states.py
I want causal tracing under noise       -> restoration.py
I want attention blocked                -> knockout.py (both walk by watched_walk.py)
I want a quick estimate of every effect -> attribution.py
"""

from hooks.sweeps.attribution import Attribution
from hooks.sweeps.change import Change, Mean, Noise, Patch, Resample, Zero
from hooks.sweeps.knockout import KnockedOut, knock_out
from hooks.sweeps.over import Edges, Heads, Layers, Neurons, Positions, States
from hooks.sweeps.restoration import CorruptedPrompt, Restoration, Restored, restore
from hooks.sweeps.sweep import sweep

__all__ = [
    "Attribution",
    "Change",
    "CorruptedPrompt",
    "Edges",
    "Heads",
    "KnockedOut",
    "Layers",
    "Mean",
    "Neurons",
    "Noise",
    "Patch",
    "Positions",
    "Resample",
    "Restoration",
    "Restored",
    "States",
    "Zero",
    "knock_out",
    "restore",
    "sweep",
]
