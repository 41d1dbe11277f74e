"""Training a model on puzzles, its loss taken where an answer decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import checkpointing
from workbench.organisms.puzzles import recipe
from workbench.progress import Progress
from workbench.puzzles import PosedPuzzle, formal

if TYPE_CHECKING:
    import torch

_NO_ANSWER = -100


@dataclass(frozen=True)
class GrownSolver:
    """A model and how it came out.

    Attributes:
        solved: share of the puzzles it read that it solves whole.
        fresh: the same of the other half.
    """

    model: Any
    solved: float
    fresh: float


def grow(
    name: str, seed: int, work: Path, progress: Progress, *, steps: Sequence[int] = recipe.KEPT
) -> GrownSolver:
    """From nothing, or on from the last step that `work` keeps; the same numbers from the same seed
    on the same processor.

    Args:
        steps: updates after which weights are kept; the last ends the training.

    Raises:
        Cancelled: from `progress`; the same call goes on.
    """
    import torch

    family = recipe.FAMILIES[name]
    halves = recipe.puzzles_of(seed)
    ids, labels = rows_of(halves[family.half])
    model = recipe.make_model(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.RATE, weight_decay=recipe.WEIGHT_DECAY, betas=(0.9, 0.98)
    )
    begun = checkpointing.resume(model, optimizer, work, "solver", steps[-1])
    if begun == 0:
        checkpointing.save_step(model, optimizer, work, "solver", 0, every=True)
    model.train()
    for step in range(begun, steps[-1]):
        for group in optimizer.param_groups:
            group["lr"] = recipe.RATE * min(1.0, (step + 1) / recipe.WARMUP)
        # The rows of a step follow from its number, so that a stop changes nothing.
        draw = torch.Generator().manual_seed(seed * 100_003 + step)
        chosen = torch.randint(len(ids), (recipe.ROWS,), generator=draw)
        logits = model(input_ids=ids[chosen], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), labels[chosen][:, 1:].flatten(), ignore_index=_NO_ANSWER
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step + 1 in steps:
            checkpointing.save_step(model, optimizer, work, "solver", step + 1, every=True)
        progress(step / steps[-1], f"step {step:,} of {steps[-1]:,}, loss {loss.item():.2f}")
    model.eval()
    other = halves[1 - family.half]
    return GrownSolver(model, solved_share(model, halves[family.half]), solved_share(model, other))


def rows_of(puzzles: Sequence[PosedPuzzle]) -> tuple[torch.Tensor, torch.Tensor]:
    """Puzzles with their answers as tokens, and the tokens that decide as labels; both
    (puzzle, token), padded on the right.
    """
    import torch

    tokenizer = recipe.make_tokenizer()
    lines = tokenizer([formal.line(one) for one in puzzles])["input_ids"]
    ids = torch.zeros((len(lines), max(map(len, lines))), dtype=torch.long)
    labels = torch.full_like(ids, _NO_ANSWER)
    for row, (line, one) in enumerate(zip(lines, puzzles, strict=True)):
        ids[row, : len(line)] = torch.tensor(line)
        for person in range(one.puzzle.people):
            at = len(line) - 2 - 2 * person  # before the full stop, and every second before that
            labels[row, at] = line[at]
    return ids, labels


def solved_share(model: Any, puzzles: Sequence[PosedPuzzle]) -> float:
    """Share of puzzles of which every person is named rightly."""
    import torch

    ids, labels = rows_of(puzzles)
    with torch.no_grad():
        said = model(input_ids=ids, use_cache=False).logits[:, :-1].argmax(-1)
    decides = labels[:, 1:] != _NO_ANSWER
    return float(((said == labels[:, 1:]) | ~decides).all(-1).float().mean())
