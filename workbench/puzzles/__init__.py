"""Puzzles of knights, who tell the truth, and knaves, who lie: made, solved, changed, and put into
words (Xie et al. 2024, "On memorization of large language models in logical reasoning").

What people say, and when it is true         -> statements.py
A puzzle, its solutions, drawing new ones    -> puzzle.py
Changed so that the solution changes, or not -> perturb.py
Put into English                             -> english.py
Put into a language of one token per symbol  -> formal.py
"""

from __future__ import annotations

from workbench.puzzles.perturb import MATHEMATICAL, VERBAL, Change, perturbed
from workbench.puzzles.puzzle import PosedPuzzle, Puzzle, draw, solutions

__all__ = [
    "MATHEMATICAL",
    "VERBAL",
    "Change",
    "PosedPuzzle",
    "Puzzle",
    "draw",
    "perturbed",
    "solutions",
]
