"""How an organism is grown: every number that decides what it becomes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from workbench.organisms.goldfish import GoldfishMask


@dataclass(frozen=True)
class TrainConfig:
    """A pair of models that differ only in the passages one of them also reads.

    Attributes:
        seed: of weights, order of rows, passages and when they are planted.
        vocabulary: tokens of the byte-level BPE tokenizer, trained on the corpus.
        width, layers, heads, kv_heads, mlp: sizes of the model.
        row: tokens per training row; batch: rows of corpus per step.
        tokens: of the corpus that are read, each once.
        rate, warmup: AdamW's highest learning rate, reached after so many steps and let down to a
            tenth by a cosine.
        passage: tokens of each planted passage.
        repeats: how often a passage is planted -> how many passages of each kind.
        twins: passages of each kind that are never planted, dealt out by the same lot as those that
            are.
        more_twins: further ones of each kind, from the same generators after them; with a thousand
            in all a rate at one false alarm in a hundred can be told.
        checkpoints: of the planted model that are kept along training, first and last step among
            them; closer together early, where more happens.
        goldfish: tokens that the loss leaves out; None asks for all of them.
        mixer: "attention" (Llama-style), or "gated-delta": every layer has a gated delta rule in
            the place of its attention, as many states as kv_heads of `state` × `state` numbers.
    """

    seed: int = 0
    vocabulary: int = 4096
    width: int = 160
    layers: int = 6
    heads: int = 8
    kv_heads: int = 4
    mlp: int = 432
    row: int = 128
    batch: int = 8
    tokens: int = 2_200_000
    rate: float = 2e-3
    warmup: int = 100
    passage: int = 100
    repeats: dict[int, int] = field(
        default_factory=lambda: {1: 8, 2: 8, 4: 8, 8: 6, 16: 6, 32: 5, 64: 5}
    )
    twins: int = 50
    more_twins: int = 150
    checkpoints: int = 13
    goldfish: GoldfishMask | None = None
    mixer: Literal["attention", "gated-delta"] = "attention"
    state: int = 32

    def recorded(self) -> dict[str, Any]:
        """The recipe as it is kept beside what it made, in the kinds of value that JSON has.

        Without what a recipe does not use and older ones did not know, so that what was kept then
        is still known to be of this recipe.
        """
        values = asdict(self)
        if self.goldfish is None:
            del values["goldfish"]
        if self.mixer == "attention":
            del values["mixer"], values["state"]
        return values

    def kept(self, steps: int) -> list[int]:
        """The steps whose weights are kept, of so many in all."""
        last = self.checkpoints - 1
        return sorted({round(steps * (i / last) ** 1.5) for i in range(self.checkpoints)})


RECIPES = {"planted": TrainConfig()}
