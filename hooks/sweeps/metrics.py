"""What is read off: at the last position the logits of some tokens, or a number made of them; or
how a continuation fares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from hooks.finite_check import check_logits, check_values
from hooks.logit_attribution import frozen_norm
from hooks.weights import device_of
from workbench.errors import BadInput, NotFound

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel

Name = Literal["logit", "logit_diff", "logprob", "prob", "kl", "continuation"]
Own = Callable[["Tensor"], "Tensor"]
Norm = Literal["recomputed", "frozen"]
UNITS: dict[str, str] = {
    "logit": "logits",
    "logit_diff": "logits, first target minus the mean of the others",
    "logprob": "nats",
    "prob": "probability",
    "kl": "nats, KL(unchanged ‖ changed)",
    "continuation": "leading tokens said; nats per token",
}
CONTINUATION = ("match", "loss")
"""What "continuation" reads, whose targets are the text that follows the prompt: it is fed in,
and read at each token.
"""
# Rows whose logits over the whole vocabulary are held at once, in numbers.
_WHOLE = 16 * 2**20


@dataclass(frozen=True)
class Metric:
    """How next-token logits become what is reported.

    Args:
        ask: one of `UNITS`, or a function from (row, d_vocab) float32 logits of one prompt to
            (row,).
        targets: per prompt, the ids that are watched (as many for each; may be empty for "kl" and
            functions); of "continuation" the text that follows.
        norm: whether the final norm's scale is that of the changed or of the unchanged stream.
    """

    ask: Name | Own
    targets: tuple[tuple[int, ...], ...]
    norm: Norm = "recomputed"

    @property
    def name(self) -> str:
        return self.ask if isinstance(self.ask, str) else getattr(self.ask, "__name__", "own")

    @property
    def unit(self) -> str:
        return UNITS[self.ask] if isinstance(self.ask, str) else self.name

    @property
    def per_target(self) -> bool:
        return self.ask in ("logit", "logprob", "prob")

    @property
    def reads(self) -> int:
        """How many of the last positions are read."""
        return len(self.targets[0]) if self.ask == "continuation" else 1

    def of_resid(
        self, model: InstrumentedModel, resid: Tensor, base: Tensor, prompts: Sequence[int]
    ) -> Tensor:
        """The metric of final residual streams.

        Args:
            resid: before the final norm, at the positions that are read, (variant, prompt, pos,
                d_model).
            base: that of the unchanged run, (prompt, pos, d_model).
            prompts: which prompts these are.

        Returns:
            (variant, prompt, target), float32; one "target" for metrics that have none.
        """
        columns = []
        for column, prompt in enumerate(prompts):
            if self.ask == "continuation":
                columns.append(self._of_continuation(model, resid[:, column], prompt))
                continue
            rows, own = resid[:, column, -1], base[column, -1]
            if self.ask in ("logit", "logit_diff"):
                ids = torch.tensor(self.targets[prompt], device=device_of(model.layout.unembed))
                logits = self._logits(model, rows, own, ids)
                columns.append(logits if self.ask == "logit" else difference(logits))
                continue
            unchanged = model.unembed(own[None]).float()
            step = max(1, _WHOLE // unchanged.shape[-1])
            parts = [
                self.of_logits(
                    self._logits(model, rows[i : i + step], own, None), prompt, unchanged
                )
                for i in range(0, len(rows), step)
            ]
            columns.append(torch.cat(parts))
        return torch.stack(columns, 1)

    def _of_continuation(self, model: InstrumentedModel, resid: Tensor, prompt: int) -> Tensor:
        """`CONTINUATION` of (variant, pos, d_model), where each position predicts one target, as
        (variant, 2).
        """
        rows = resid.flatten(0, 1)
        wanted = torch.tensor(self.targets[prompt], device=device_of(model.layout.unembed)).repeat(
            len(resid)
        )
        step, right, loss = max(1, _WHOLE // model.card.d_vocab), [], []
        for i in range(0, len(rows), step):
            logits, ids = model.unembed(rows[i : i + step]).float(), wanted[i : i + step]
            check_logits(model, logits)
            right.append(logits.argmax(-1) == ids)
            loss.append(logits.logsumexp(-1) - logits.gather(-1, ids[:, None])[:, 0])
        match = torch.cat(right).view(len(resid), -1).float().cumprod(-1).sum(-1)
        return torch.stack([match, torch.cat(loss).view(len(resid), -1).mean(-1)], -1)

    def of_logits(self, logits: Tensor, prompt: int, unchanged: Tensor) -> Tensor:
        """The metric of (row, d_vocab) logits of one prompt, (row, target).

        `unchanged` is (1, d_vocab).
        """
        logits = logits.float()
        watched = list(self.targets[prompt])
        if callable(self.ask):
            found = self.ask(logits)
            if found.shape != logits.shape[:1]:
                raise BadInput(
                    f"The metric {self.name!r} gave {tuple(found.shape)}.",
                    f"one number per row, ({len(logits)},)",
                    "Check it.",
                )
            return found[:, None]
        if self.ask == "logit":
            return logits[:, watched]
        if self.ask == "logit_diff":
            return difference(logits[:, watched])
        if self.ask == "logprob":
            return logits.log_softmax(-1)[:, watched]
        if self.ask == "prob":
            return logits.softmax(-1)[:, watched]
        before = unchanged.log_softmax(-1)
        # A token that is ruled out adds nothing; 0 times infinity is no number.
        return torch.where(
            before.isneginf(), 0.0, before.exp() * (before - logits.log_softmax(-1))
        ).sum(-1, keepdim=True)

    def _logits(
        self, model: InstrumentedModel, rows: Tensor, own: Tensor, ids: Tensor | None
    ) -> Tensor:
        with frozen_norm(model, own) if self.norm == "frozen" else nullcontext():
            logits = model.unembed(rows, ids).float()
        if ids is None:
            check_logits(model, logits)
        else:  # a token that the model rules out has no logit to measure either
            check_values(model, "the logits of the targets", logits)
        return logits


def difference(logits: Tensor) -> Tensor:
    """First target minus the mean of the others, (row, 1)."""
    return logits[:, :1] - logits[:, 1:].mean(1, keepdim=True)


def check(ask: Name | Own, n_targets: int) -> None:
    """Raises NotFound for an unknown metric, BadInput where it needs other targets."""
    if not callable(ask) and ask not in UNITS:
        raise NotFound.named(
            "metric", str(ask), UNITS, "A function of (row, d_vocab) logits does too."
        )
    needs = 0 if callable(ask) or ask == "kl" else 2 if ask == "logit_diff" else 1
    if n_targets < needs:
        raise BadInput(
            f"The metric {ask!r} watches tokens, and {n_targets} are given per prompt.",
            f"targets: at least {needs} each",
            "Name them.",
        )
