"""Gradients of a number that a model computes (its loss, a logit difference, your own) and what is
built on them.

I want gradients at sites, or times the activation -> activations.py
I want gradients of weights, by head or matrix     -> weights.py (which weights), parameters.py
                                                   (whole, or their norms)
I want them integrated along a path (Captum)       -> integrated.py
I want the influence of training examples          -> hooks/influence.py

What is differentiated is a metric (hooks/metrics), as sweeps read it too. All return Traces with
the labels that captures have.
"""
