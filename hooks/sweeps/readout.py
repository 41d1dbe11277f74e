"""How a sweep reads its number off the residual stream that a walk ends with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.finite_check import check_logits, check_values
from hooks.logit_attribution import frozen_norm
from hooks.metrics import Continuation, Custom, NextToken, Normed, NormScale, Read, per_prompt
from hooks.weights import device_of

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

# Rows whose logits over the whole vocabulary are held at once, in numbers.
_WHOLE = 16 * 2**20


@dataclass(frozen=True)
class Readout:
    """A read of prompts, with what it watches in each.

    Args:
        targets: per prompt, the ids that are watched (as many for each; may be empty for `KL` and
            `Custom`); of `Continuation` the text that follows.
        ids: the prompts, with what is fed in after them.

    Raises:
        BadInput: too few targets, or a prompt that is too short for its metric.
    """

    read: Read
    targets: Sequence[Sequence[int]]
    ids: Sequence[Sequence[int]]

    def __post_init__(self) -> None:
        self.read.check_targets(len(self.targets[0]))
        if isinstance(self.read, Custom):
            per_prompt(self.read.function, [len(prompt) for prompt in self.ids])

    @property
    def norm(self) -> NormScale:
        return self.read.norm if isinstance(self.read, Normed) else "recomputed"

    @property
    def n_positions(self) -> int:
        """How many of the last positions are read."""
        if isinstance(self.read, Continuation):
            return len(self.targets[0])
        if isinstance(self.read, Custom):
            longest = max(map(len, self.ids))
            return longest if self.read.reads is None else min(self.read.reads, longest)
        return 1

    @property
    def reads_prompt_end(self) -> bool:
        """Whether only the logits after the last token are read, so that any run has them."""
        return self.n_positions == 1 and not isinstance(self.read, Continuation)

    def of_resid(
        self,
        model: InstrumentedModel,
        resid: Float[Tensor, "variant prompt pos d_model"],
        unchanged: Float[Tensor, "prompt pos d_model"],
        prompts: Sequence[int],
    ) -> Float[Tensor, "variant prompt target"]:
        """What final residual streams give.

        Args:
            resid: before the final norm, at the positions that are read, (variant, prompt, pos,
                d_model).
            unchanged: that of the unchanged run, (prompt, pos, d_model).
            prompts: which prompts these are.

        Returns:
            (variant, prompt, target), float32; one "target" for reads that have none.
        """
        return torch.stack(
            [
                self._of_prompt(model, resid[:, column], unchanged[column, -1], prompt)
                for column, prompt in enumerate(prompts)
            ],
            1,
        )

    def _of_prompt(
        self, model: InstrumentedModel, resid: Tensor, unchanged: Tensor, prompt: int
    ) -> Tensor:
        """(variant, pos, d_model) of one prompt to (variant, target)."""
        read = self.read
        if isinstance(read, Continuation):
            return self._of_continuation(model, resid, prompt)
        if isinstance(read, NextToken) and read.targets_only:
            ids = torch.tensor(self.targets[prompt], device=device_of(model.layout.unembed))
            return read.of_targets(self._logits(model, resid[:, -1], unchanged, ids))
        # A prompt that is shorter than what is read has padding in front.
        resid = resid[:, -len(self.ids[prompt]) :]
        before = model.unembed(unchanged[None]).float()
        step, parts = max(1, _WHOLE // (before.shape[-1] * resid.shape[1])), []
        for i in range(0, len(resid), step):
            rows = resid[i : i + step]
            logits = self._logits(model, rows.flatten(0, 1), unchanged, None)
            parts.append(self._of_rows(logits.view(*rows.shape[:2], -1), prompt, before))
        return torch.cat(parts)

    def _of_continuation(self, model: InstrumentedModel, resid: Tensor, prompt: int) -> Tensor:
        """`Continuation.VALUES` of (variant, pos, d_model), where each position predicts one
        target, as (variant, 2).
        """
        rows = resid.flatten(0, 1)
        wanted = torch.tensor(self.targets[prompt], device=device_of(model.layout.unembed)).repeat(
            len(resid)
        )
        step, right, loss = max(1, _WHOLE // model.card.d_vocab), [], []
        for i in range(0, len(rows), step):
            logits = model.unembed(rows[i : i + step]).float()
            check_logits(model, logits)
            first_choice, nats = Continuation.of_tokens(logits, wanted[i : i + step])
            right.append(first_choice)
            loss.append(nats)
        match = torch.cat(right).view(len(resid), -1).float().cumprod(-1).sum(-1)
        return torch.stack([match, torch.cat(loss).view(len(resid), -1).mean(-1)], -1)

    def of_logits(
        self,
        logits: Float[Tensor, "row d_vocab"],
        prompt: int,
        unchanged: Float[Tensor, "1 d_vocab"],
    ) -> Float[Tensor, "row target"]:
        """From the (row, d_vocab) logits after one prompt to (row, target).

        `unchanged` is (1, d_vocab).
        """
        return self._of_rows(logits.float()[:, None], prompt, unchanged)

    def _of_rows(self, logits: Tensor, prompt: int, unchanged: Tensor) -> Tensor:
        """From (row, pos, d_vocab) logits of one prompt to (row, target)."""
        if isinstance(self.read, Custom):
            return self.read.of_rows(logits, self.ids[prompt][-logits.shape[1] :])
        assert isinstance(self.read, NextToken)  # a continuation is read in its own way
        return self.read.of_logits(logits[:, -1], self.targets[prompt], unchanged)

    def _logits(
        self, model: InstrumentedModel, rows: Tensor, unchanged: Tensor, ids: Tensor | None
    ) -> Tensor:
        with frozen_norm(model, unchanged) if self.norm == "frozen" else nullcontext():
            logits = model.unembed(rows, ids).float()
        if ids is None:
            check_logits(model, logits)
        else:  # a token that the model rules out has no logit to measure either
            check_values(model, "the logits of the targets", logits)
        return logits
