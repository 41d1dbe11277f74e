"""What measuring, costs and pages share."""

NAME = "intervention"

SETS = 20
"""Draws of random heads."""
