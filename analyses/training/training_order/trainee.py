"""The model that is trained, its weights before the blocks, and what it says of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.training.training_order import constants as c
from analyses.training.training_order.blocks import Reading, Row, TextBlock, half
from hooks.eager_eval import steady
from hooks.gradients.flat_weights import FlatLoss
from hooks.mixed_weights import put_back
from workbench.errors import Unfit
from workbench.lab import Stage, StepReport, run_stages
from workbench.lab.training import padded
from workbench.models.storage import is_offloaded, is_quantized

if TYPE_CHECKING:
    from jaxtyping import Float

    from analyses.training.training_order.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_WIDTH, _LAYERS, _HEADS, _MLP = 48, 2, 4, 128
_BLOCKS = "the blocks"


@dataclass(frozen=True)
class Said:
    """What a model says of everything, at some weights.

    Attributes:
        loss: nats per token, (kind, block): of the text of each block, and of the second half of
            its planted sentence given the first.
        right: share of the second half's tokens that are the likeliest, (block,); 1 is recited.
        twins: (loss, right) of sentences nobody read, each (block,).
    """

    loss: Float[np.ndarray, "kind block"]
    right: Float[np.ndarray, " block"]
    twins: tuple[Float[np.ndarray, " block"], Float[np.ndarray, " block"]]


class Trainee:
    """A model whose weights are set, trained and read as vectors.

    Attributes:
        start: its weights before the blocks.
        reading: the texts in this model's own numbers of tokens.
    """

    def __init__(self, module: Any, reading: Reading, params: Params) -> None:
        self.module, self.reading, self.params = module, reading, params
        self.flat = FlatLoss(module)
        self.start = self.flat.weights()

    @property
    def rates(self) -> list[float]:
        """Of every update on the way (`workbench.lab`'s warm-up)."""
        total = len(self.reading.numbers(range(len(self.reading.blocks))))
        rise = max(1, self.params.lead)
        return [self.params.rate * min(1.0, (step + 1) / rise) for step in range(total)]

    def trained(
        self,
        order: Sequence[int],
        progress: Progress,
        path: list[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Weights after really reading the blocks in an order.

        Args:
            path: gets the weights before every update.

        Raises:
            NotFinite: the loss is no number; says at which step.
            Cancelled: from `progress`.
        """
        batches = self.reading.batches
        self.flat.put_in(self.start)
        steps = [batches[number] for number in self.reading.numbers(order)]

        def keep(report: StepReport) -> None:
            if path is not None and report.step < len(steps):
                path.append(self.flat.weights())

        stage = Stage(_BLOCKS, steps, self.params.rate, warmup=self.params.lead)
        run_stages(
            self.module,
            [stage],
            seed=self.params.seed,
            on_step=None if path is None else keep,
            progress=progress,
        )
        return self.flat.weights()

    def says(self, weights: torch.Tensor) -> Said:
        """Losses at some weights."""
        self.flat.put_in(weights)
        blocks = self.reading.blocks
        loss = [self._loss(block.rows) for block in blocks]
        planted, right = self._recited([block.sentence for block in blocks])
        return Said(np.array([loss, planted]), right, self._recited(self.reading.twins))

    def _loss(self, rows: Sequence[Row]) -> float:
        nats, _ = self._tokens(rows)
        return float(nats.mean())

    def _recited(self, rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
        nats, right = self._tokens(rows)
        at = half(rows[0]) - 1  # what is said of a token stands one place before it
        return nats[:, at:].mean(-1), right[:, at:].mean(-1)

    @torch.no_grad()
    def _tokens(self, rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
        """(nats, is it the likeliest) of each token but the first of rows of one length."""
        ids, mask, _ = padded(rows, None, self.start.device)
        with steady(self.module):
            out = self.module(input_ids=ids, attention_mask=mask, use_cache=False)
        logits = out.logits[:, :-1].float()
        nats = -logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        right = logits.argmax(-1) == ids[:, 1:]
        return nats.double().cpu().numpy(), right.double().cpu().numpy()


@contextmanager
def trainee(
    model: InstrumentedModel, read: Reading, params: Params, progress: Progress
) -> Iterator[Trainee]:
    """The model that reads the blocks: a new one that has read other prose, or the asked one, which
    is put back afterwards.

    Raises:
        Unfit: weights that cannot be trained, or too many of them.
        NotFinite: training of the new model went astray.
    """
    if params.start == "fresh":
        own = _renumbered(read)
        size = 1 + max(token for rows in _all_rows(own) for row in rows for token in row)
        module = _new(size, params).to(model.device)
        if own.before:
            rise = min(20, len(own.before))
            stage = Stage("before the blocks", own.before, c.BEFORE_RATE, warmup=rise)
            run_stages(module, [stage], seed=params.seed, progress=progress)
        yield Trainee(module, own, params)
        return
    check_trainable(model)
    with put_back(list(model.module.parameters())):
        yield Trainee(model.module, read, params)


def check_trainable(model: InstrumentedModel) -> None:
    """Raises: Unfit: weights that no gradient can move, or too many to hold them for each order."""
    if is_quantized(model.module) or is_offloaded(model.module):
        raise Unfit(
            f"The weights of {model.card.name} are quantized or offloaded.",
            "weights in floating point, in memory",
            "Load the model without quantization, or train a new small one.",
        )
    weights = sum(p.numel() for p in model.module.parameters())
    if weights > c.MOST_WEIGHTS:
        raise Unfit(
            f"{model.card.name} has {weights:,} weights, and an estimate holds them for every order"
            " and every step.",
            f"at most {c.MOST_WEIGHTS:,}",
            "Train a new small model (`start`: fresh), or ask a smaller one.",
        )


def _new(tokens: int, params: Params) -> Any:
    """An organism's architecture (Llama), much smaller, from the seed."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=tokens,
        hidden_size=_WIDTH,
        intermediate_size=_MLP,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        num_key_value_heads=_HEADS,
        max_position_embeddings=max(64, params.length + c.ITEM_TOKENS),
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seed)
        return LlamaForCausalLM(config).float().eval()


def _all_rows(read: Reading) -> list[list[Row]]:
    return [*read.before, *read.batches, read.twins]


def _renumbered(read: Reading) -> Reading:
    """The same rows in numbers of the tokens that occur at all: a new model needs no others."""
    seen = sorted({token for rows in _all_rows(read) for row in rows for token in row})
    number = {token: n for n, token in enumerate(seen)}

    def row(old: Row) -> Row:
        return tuple(number[token] for token in old)

    def rows(old: Sequence[Row]) -> list[Row]:
        return [row(each) for each in old]

    def block(old: TextBlock) -> TextBlock:
        return replace(
            old,
            rows=rows(old.rows),
            sentence=row(old.sentence),
        )

    return Reading(
        [block(each) for each in read.blocks],
        rows(read.twins),
        [rows(step) for step in read.before],
        [rows(step) for step in read.lead],
        [rows(step) for step in read.tail],
        read.updates,
    )
