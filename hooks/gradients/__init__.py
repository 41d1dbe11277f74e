"""Gradients of a number that a model computes (its loss, a logit difference, your own) and what is
built on them.

I want to say what is differentiated              -> metric.py
I want gradients at sites, or times the activation -> activations.py
I want gradients of weights, by head or matrix     -> weights.py (which weights), parameters.py
                                                   (whole, or their norms)
I want them integrated along a path (Captum)       -> integrated.py
I want a quick guess of every head's effect        -> heads.py
I want the influence of training examples          -> hooks/influence.py

All but `head_attribution` return Traces with the labels that captures have.
"""

from hooks.gradients.heads import head_attribution

__all__ = ["head_attribution"]
