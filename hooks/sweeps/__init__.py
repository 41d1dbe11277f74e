"""Sweeps: the exact effect of every head, layer, neuron, position or edge, far below the price of
one pass each.

I want the effect of each part          -> sweep (sweep.py): the public door
I want to know what is not recomputed   -> batched_forward.py, and docs/exact-sweeps.md
I want another way to change a part     -> values.py
I want another number to be read off    -> metrics.py, or pass a function as `metric`
I want head-to-head edges               -> paths.py
I want several ways in one walk         -> last.py
"""

from hooks.sweeps.sweep import sweep

__all__ = ["sweep"]
