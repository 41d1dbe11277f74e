"""ELM: the model predicts a concept as somebody would who knows nothing of it, says what it said
about all else, and goes on fluently (Gandikota et al. 2024, Erasing Conceptual Knowledge).

What the model itself says behind "an expert writes" and behind "a novice writes" tells which tokens
carry the concept. Of a model that does not follow such prefixes (a small one, one without
instruction tuning) the difference is noise: its texts become unlikely all the same, but in a
direction that says nothing of the concept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.eager_eval import steady
from hooks.unlearning import losses
from hooks.unlearning.objectives import LossTerm, read
from hooks.unlearning.original_model import OriginalModel
from hooks.unlearning.settings import Concept, Settings
from hooks.unlearning.texts import Text, target_logits

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

ANYTHING = Concept(
    (
        "The following was written by an expert who knows every detail of the topic:\n\n",
        "Here is what a specialist with deep knowledge says about it:\n\n",
    ),
    (
        "The following was written by a novice who knows nothing of the topic:\n\n",
        "Here is what somebody says about it who has never heard of it:\n\n",
    ),
    " This topic is left aside now. Turning to something else:",
)
"""Where no concept is named."""
TOP, TEMPERATURE = 50, 1.2
ETA = (1.0, 1000.0)
"""Weight of the difference, at the first predicted token and at the last."""
GUIDANCE = 2.0
FLUENT, PROMPT, LENGTH = 16, 32, 24
"""Texts that are followed by fluent ones; tokens of each that are read, and that are written."""


class ConceptErasure:
    """ELM's objective. The forget term is the cross-entropy to what the novice would say, plus the
    loss of fluent text that the guided original wrote behind the same prompt; the retain term the
    cross-entropy to the original's first choices. All are means over tokens, of weight 1.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, original: OriginalModel, forget: Sequence[Text], settings: Settings) -> None:
        self.weight = 1.0 if settings.retain_weight is None else settings.retain_weight
        self._original = original
        self._concept = settings.concept or ANYTHING
        self._number = {text: n for n, text in enumerate(forget)}
        chosen = list(forget[:FLUENT])
        with steady(original.model.module):
            self._fluent = dict(zip(chosen, self._written(chosen, settings.seed), strict=True))

    def forget(self, texts: Sequence[Text]) -> Iterator[LossTerm]:
        model = self._original.model
        targets = self._original("novice", texts, self._novice_targets)
        fluent = [self._fluent[text] for text in texts if text in self._fluent]
        behind = {
            each.text: -each.log_p.mean()
            for chosen in model.batch_indices([len(t.ids) for t in fluent], max(1, len(fluent)))
            for each in read(model, [fluent[i] for i in chosen])
        }
        for each, target in zip(read(model, texts), targets, strict=True):
            loss = losses.soft_cross_entropy(target, each.logits)
            own = self._fluent.get(each.text)
            yield each.term(loss if own is None else loss + behind[own])

    def retain(self, texts: Sequence[Text]) -> Iterator[LossTerm]:
        first = self._original(
            "first choice",
            texts,
            lambda some: [x.argmax(-1) for x, _ in target_logits(self._original.model, some)],
        )
        for each, choice in zip(read(self._original.model, texts), first, strict=True):
            yield each.term(losses.cross_entropy(each.logits, choice))

    def _novice_targets(self, texts: Sequence[Text]) -> list[Tensor]:
        sides = self._three_ways(texts, [self._number[text] for text in texts])
        return [novice_target(*each) for each in zip(*sides, strict=True)]

    def _three_ways(
        self, texts: Sequence[Text], numbers: Sequence[int]
    ) -> list[list[Float[Tensor, "target d_vocab"]]]:
        """ln p of each text by itself, behind an expert's prefix, and behind a novice's; numbers
        say which of the prefixes.
        """
        model, sides = self._original.model, [list(texts)]
        for prefixes in (self._concept.expert, self._concept.novice):
            pairs = zip(texts, numbers, strict=True)
            sides.append([behind(model, prefixes[n % len(prefixes)], text) for text, n in pairs])
        return [_log_p(model, side) for side in sides]

    @torch.no_grad()
    def _written(self, texts: Sequence[Text], seed: int) -> list[Text]:
        """Behind the beginning of each text and a turn away from it: what the original writes when
        it is guided towards the novice, drawn at random.
        """
        draw = torch.Generator().manual_seed(seed)
        turn = self._original.model.continuation_tokens(self._concept.turn)
        starts = [(*text.ids[:PROMPT], *turn) for text in texts]
        rows = list(starts)
        for _ in range(LENGTH):
            # Which token stands last is never read: it is what is predicted.
            sides = self._three_ways([Text((*row, 0), len(row)) for row in rows], range(len(rows)))
            guided = [
                (plain + GUIDANCE * (novice - expert))[0].softmax(-1).cpu()
                for plain, expert, novice in zip(*sides, strict=True)
            ]
            drawn = torch.multinomial(torch.stack(guided), 1, generator=draw)[:, 0].tolist()
            rows = [(*row, token) for row, token in zip(rows, drawn, strict=True)]
        return [Text(row, len(start)) for row, start in zip(rows, starts, strict=True)]


def novice_target(
    plain: Float[Tensor, "target d_vocab"],
    expert: Float[Tensor, "target d_vocab"],
    novice: Float[Tensor, "target d_vocab"],
) -> Float[Tensor, "target d_vocab"]:
    """Softmax of ln p(x) + η [ln p(x | novice) - ln p(x | expert)] over its largest entries; η
    grows along the text.
    """
    eta = torch.linspace(*ETA, len(plain), device=plain.device)[:, None]
    logits = plain + eta * (novice - expert)
    least = logits.topk(min(TOP, logits.shape[1]), -1).values[:, -1:]
    return logits.masked_fill(logits < least, -torch.inf).softmax(-1)


def behind(model: InstrumentedModel, prefix: str, text: Text) -> Text:
    """A text with something before it, behind the beginning tokens; the same is predicted."""
    begin = tuple(model.text.beginning)
    begin = begin if text.ids[: len(begin)] == begin else ()
    ids = (*begin, *model.text.encode(prefix), *text.ids[len(begin) :])
    return Text(ids, text.first + len(ids) - len(text.ids))


def _log_p(
    model: InstrumentedModel, texts: Sequence[Text]
) -> list[Float[Tensor, "target d_vocab"]]:
    found: dict[int, Tensor] = {}
    for chosen in model.batch_indices([len(t.ids) for t in texts], len(texts)):
        logits = target_logits(model, [texts[i] for i in chosen])
        for i, (each, _) in zip(chosen, logits, strict=True):
            found[i] = (each / TEMPERATURE).log_softmax(-1)
    return [found[i] for i in range(len(texts))]
