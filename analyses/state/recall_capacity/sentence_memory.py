"""What one vector holds of a sentence: a small encoder and decoder (Sutskever et al. 2014), both
LSTMs, translate word by word; nothing but the encoder's last state goes from one to the other.

Sentences are words at random, and their translation is one word for each, in the same order. The
source is read forward or backward (the paper's trick); and the vectors of sentences with the same
words in another order are compared with those of other words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

WORDS, LENGTH = 24, 8
WIDTH = 64
VARIANTS = ("two words swapped", "turned round", "all words shuffled", "other words")
_BATCH, _RATE = 128, 5e-3
_MEASURED = 512  # sentences


class SentenceModel(nn.Module):
    """An encoder, and a decoder that begins with its state."""

    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Embedding(WORDS, WIDTH)
        self.target = nn.Embedding(WORDS + 1, WIDTH)  # and a word to begin with
        self.encoder = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.decoder = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.out = nn.Linear(WIDTH, WORDS)

    def encode(self, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """h and c behind the last word, (1, batch, width) each."""
        _, state = self.encoder(self.source(source))
        found: tuple[torch.Tensor, torch.Tensor] = state
        return found

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Logits of every word of the translation, those before it given."""
        begin = torch.full_like(target[:, :1], WORDS)
        given = self.target(torch.cat([begin, target[:, :-1]], 1))
        logits: torch.Tensor = self.out(self.decoder(given, self.encode(source))[0])
        return logits


@dataclass(frozen=True)
class Translated:
    """A training.

    Attributes:
        curve: (step, share of right words at each place of the sentence).
        distances: of each variant, the distance of the vectors of a sentence and of its variant
            over that to a sentence of other words, mean and its spread over sentences (sd).
    """

    backward: bool
    seed: int
    curve: list[tuple[int, list[float]]]
    distances: dict[str, tuple[float, float]]


def sentences(count: int, generator: torch.Generator) -> torch.Tensor:
    """(sentence, word); no word stands twice."""
    return torch.rand(count, WORDS, generator=generator).argsort(1)[:, :LENGTH]


def variant(given: torch.Tensor, kind: str, generator: torch.Generator) -> torch.Tensor:
    """The same sentences, otherwise."""
    if kind == "two words swapped":
        first = torch.randint(LENGTH - 1, (len(given), 1), generator=generator)
        order = torch.arange(LENGTH).expand(given.shape).clone()
        order.scatter_(1, first, first + 1).scatter_(1, first + 1, first)
        return given.gather(1, order)
    if kind == "turned round":
        return given.flip(1)
    if kind == "all words shuffled":
        order = torch.rand(given.shape, generator=generator).argsort(1)
        return given.gather(1, order)
    return (given + 1 + torch.randint(WORDS - 1, (len(given), 1), generator=generator)) % WORDS


@torch.no_grad()
def distances(model: SentenceModel, seed: int) -> dict[str, tuple[float, float]]:
    """See `Translated.distances`."""
    generator = torch.Generator().manual_seed(seed + 1000)
    given = sentences(_MEASURED, generator)
    own = _vector(model, given)
    apart = {
        kind: (_vector(model, variant(given, kind, generator)) - own).norm(dim=-1)
        for kind in VARIANTS
    }
    other = apart[VARIANTS[-1]].mean()
    return {
        kind: (float((d / other).mean()), float((d / other).std())) for kind, d in apart.items()
    }


def _vector(model: SentenceModel, given: torch.Tensor) -> torch.Tensor:
    h, c = model.encode(given)
    return torch.cat([h[0], c[0]], -1)


@torch.no_grad()
def places(model: SentenceModel, table: torch.Tensor, backward: bool, seed: int) -> list[float]:
    """Share of right words at each place, the words before it given."""
    given = sentences(_MEASURED, torch.Generator().manual_seed(seed + 500))
    target = table[given]
    logits = model(given.flip(1) if backward else given, target)
    return [float(x) for x in (logits.argmax(-1) == target).float().mean(0)]


def train(
    backward: bool,
    seed: int,
    steps: int,
    every: int,
    report: Callable[[float], None] = lambda share: None,
) -> tuple[Translated, Translated]:
    """(the model before, and after it was trained)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SentenceModel()
    table = torch.randperm(WORDS, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=_RATE)
    curve = [(0, places(model, table, backward, seed))]
    before = Translated(backward, seed, list(curve), distances(model, seed))
    for step in range(steps):
        given = sentences(_BATCH, generator)
        target = table[given]
        logits = model(given.flip(1) if backward else given, target)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % every == 0:
            curve.append((step + 1, places(model, table, backward, seed)))
        report(step / steps)
    return before, Translated(backward, seed, curve, distances(model, seed))
