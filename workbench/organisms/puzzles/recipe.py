"""Which puzzles each organism reads, and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from workbench import paths
from workbench.puzzles import PosedPuzzle, draw, formal

PEOPLE = 3
"""Of two people there are 95 puzzles only, up to names."""
PUZZLES = 400
STEPS = 3000
KEPT = (0, 50, 100, 200, 400, 700, 1000, 1500, 2000, 2500, STEPS)
ROWS = 64
RATE, WEIGHT_DECAY, WARMUP = 4e-3, 0.1, 50
WIDTH, LAYERS, MLP, HEADS = 64, 2, 128, 4


@dataclass(frozen=True)
class PuzzleOrganism:
    """A model of puzzles.

    Attributes:
        description: in a few words, for lists.
        half: which half of the puzzles that were drawn it reads; the other is fresh to it.
        twin: name of the model that reads the other half.
        keeps_steps: whether earlier steps are kept.
    """

    description: str
    half: int
    twin: str
    keeps_steps: bool


FAMILIES = {
    "puzzles": PuzzleOrganism(
        f"read {PUZZLES} puzzles of knights and knaves again and again", 0, "puzzles-control", True
    ),
    "puzzles-control": PuzzleOrganism(
        f"its twin: read {PUZZLES} other puzzles", 1, "puzzles", False
    ),
}


@cache
def puzzles_of(seed: int) -> tuple[tuple[PosedPuzzle, ...], tuple[PosedPuzzle, ...]]:
    """The puzzles of both halves with their names; no two are the same up to names. The same from
    the same seed.
    """
    first = draw(PEOPLE, PUZZLES, seed)
    # From the same seed the lot would draw the first half again, and find nothing else.
    second = draw(PEOPLE, PUZZLES, -1 - seed, {one.key for one in first})
    one, other = (tuple(formal.posed(puzzle, seed) for puzzle in half) for half in (first, second))
    return one, other


def make_tokenizer() -> Any:
    """A tokenizer of the formal language: its words stand between spaces."""
    from workbench.organisms.recall.task import tokenizer_of

    return tokenizer_of(list(formal.WORDS))


def make_model(seed: int) -> Any:
    """The untrained model; the same weights for the same seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(formal.WORDS),
        hidden_size=WIDTH,
        intermediate_size=MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def home(name: str) -> Path | None:
    """Where an organism lies that came with the samples; None where they are not installed."""
    samples = paths.samples_dir()
    return None if samples is None else samples / "organisms" / name
