"""What the Features tab computes: a prompt's features, and how it goes on when one of them is
set.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.features.function_tokens import words
from analyses.features.function_tokens.selections import typical
from hooks.features.sae import SKIP
from hooks.prompts import Prompt, tokenize
from ui import prompt_service
from ui.app_state import AppState
from workbench import autoencoders, draw
from workbench.draw.tokens import CONTENT, FUNCTION, TEMPLATE
from workbench.errors import BadInput, WorkbenchError
from workbench.models.conversation import typed

if TYPE_CHECKING:
    import torch

    from hooks.features.sae import SAE

ANALYSIS = "function-tokens"
MOST = 256  # tokens of a prompt


@dataclass(frozen=True)
class FeatureInfo:
    """What a finished function-tokens run knows of an autoencoder: the class of each type, what
    each feature fires on, and an activation that is large for it.
    """

    classes: dict[int, str]
    fires_on: dict[int, str]
    typical: dict[int, float]


@dataclass(frozen=True)
class Looked:
    """A prompt that was read.

    Attributes:
        active: activations, (pos, feature).
        classes: "function" or "content" for each token, "chat format" for one that the chat
            template put in.
        by_run: whether a run's list says what is a function token, or grammar alone.
    """

    features: SAE
    ids: list[int]
    tokens: list[str]
    active: torch.Tensor
    classes: list[str]
    by_run: bool
    described: FeatureInfo

    def place(self, pos: int | None) -> int:
        """The token asked for, or the last function token."""
        if pos is not None and 0 <= pos < len(self.ids):
            return pos
        return max(
            (n for n, kind in enumerate(self.classes) if kind == "function" and n >= SKIP),
            default=len(self.ids) - 1,
        )

    def strongest(self, pos: int, most: int = 40) -> list[tuple[int, float]]:
        """(feature, activation) at a token, strongest first."""
        values, which = self.active[pos].topk(min(most, self.active.shape[1]))
        return [(int(f), float(v)) for f, v in zip(which, values, strict=True) if v > 0]

    def most(self, feature: int) -> float:
        """Large for this feature: what a run says of it, or the largest in this prompt, but for
        the first tokens.
        """
        return self.described.typical.get(feature) or max(
            [0.0, *self.active[SKIP:, feature].tolist()]
        )

    def strip(self, feature: int | None) -> Markup:
        """The prompt: underlined by class, coloured by the feature's activation, but for its
        first tokens.
        """
        spans = [
            {"function": FUNCTION, TEMPLATE: TEMPLATE}.get(kind, CONTENT) for kind in self.classes
        ]
        values = None
        if feature is not None:
            values = [math.nan] * min(SKIP, len(self.ids)) + self.active[SKIP:, feature].tolist()
        title = "" if feature is None else f"Feature {feature} at {self.features.place.name}"
        return draw.token_strip(self.tokens, values, spans=spans, title=title, unit="activation")


def choices(desk: AppState) -> list[str]:
    """Autoencoders to choose from: those that ship for this model, and those that runs of it
    were made with.
    """
    model = desk.slot.model
    if model is None:
        return []
    names = [
        name
        for name, entry in autoencoders.shipped().items()
        if entry.card.get("model") == model.card.name
    ]
    for run in _runs(desk):
        table = prompt_service.open_cached(run.path).tables.get("autoencoders")
        names += [] if table is None else [str(name) for name in table["name"]]
    return list(dict.fromkeys(names))


def _runs(desk: AppState) -> list[Any]:
    return [
        e
        for e in desk.entries()
        if not e.problem and e.analysis == ANALYSIS and e.model == desk.slot.name
    ]


def described(desk: AppState, name: str) -> FeatureInfo | None:
    """What the newest run says of an autoencoder of that name."""
    for run in _runs(desk):
        result = prompt_service.open_cached(run.path)
        table = result.tables.get("autoencoders")
        if table is None or "features" not in result.tables or name not in set(table["name"]):
            continue
        at = table.set_index("name").loc[name, "at"]
        mine = result.tables["features"]
        mine = mine[mine["at"] == at].set_index("feature")
        classes = dict(
            zip(
                result.tables["tokens"]["id"].tolist(),
                result.tables["tokens"]["class"],
                strict=True,
            )
        )
        return FeatureInfo(
            classes, mine["fires_on"].to_dict(), dict(enumerate(typical(result, at).tolist()))
        )
    return None


class Reader:
    """Reads prompts for the pages of one server."""

    def __init__(self, desk: AppState) -> None:
        self._desk = desk
        self._opened = lru_cache(maxsize=8)(self._open)
        self._looked = lru_cache(maxsize=32)(self._look)

    def look(self, name: str | None, prompt: str, chat: bool = False) -> Looked:
        """A prompt as an autoencoder sees it.

        Raises:
            BadInput: no prompt, one too long, or no autoencoder.
            WorkbenchError: the autoencoder cannot be opened.
        """
        if not name:
            model = self._desk.slot.need()
            raise BadInput(
                f"No autoencoder is chosen for {model.card.name}.",
                "one that ships, or a folder, RELEASE/ID or Neuronpedia id",
                f"Train one: workbench sae train --model {model.card.name} --layer N.",
            )
        return self._looked(name.strip(), prompt, chat)

    def _open(self, name: str) -> SAE:
        import workbench as wb

        model = self._desk.slot.need()
        with model.lock:
            return wb.open_features(name, model)

    def _look(self, name: str, prompt: str, chat: bool) -> Looked:
        from hooks.features.activation_stream import values

        model = self._desk.slot.need()
        if not prompt.strip():
            raise BadInput("The prompt is empty.", "some text", "Type a prompt.")
        given = tokenize(model, typed(prompt, chat))
        ids = given.ids
        if len(ids) > MOST:
            raise BadInput(f"The prompt has {len(ids):,} tokens.", f"at most {MOST}", "Shorten it.")
        features = self._opened(name)
        with model.lock:
            active = (
                features.encode(values(model, [features.place], [ids])[features.place])[0]
                .float()
                .cpu()
            )
        tokens = model.prompt_strings(ids)
        known = described(self._desk, name)
        if known is None:
            classes = ["function" if words.kind(token) else "content" for token in tokens]
        else:
            classes = [known.classes.get(i, "content") for i in ids]
        if given.from_template is not None:
            classes = [
                TEMPLATE if mark else kind
                for kind, mark in zip(classes, given.from_template, strict=True)
            ]
        return Looked(
            features,
            ids,
            tokens,
            active,
            classes,
            known is not None,
            known or FeatureInfo({}, {}, {}),
        )

    def steer(
        self, looked: Looked, prompt: Prompt, feature: int, to: float, pos: int, length: int
    ) -> Iterator[tuple[str, str]]:
        """(as it is, steered), the continuations as far as they are written; whoever stops asking
        stops the model.

        Raises:
            NotFound: no such feature.
        """
        model = self._desk.slot.need()
        looked.features.check([feature])
        texts = ["", ""]
        steps: queue.SimpleQueue[WorkbenchError | bool] = queue.SimpleQueue()
        wanted = threading.Event()
        wanted.set()

        def written(side: int, text: str) -> None:
            texts[side] = text
            steps.put(True)

        def work() -> None:
            try:
                written(
                    0,
                    prompt_service.continuation(
                        model, prompt, length, wanted.is_set, lambda text: written(0, text)
                    ),
                )
                with model.lock, looked.features.steer({feature: to}, positions=[pos]):
                    written(
                        1,
                        prompt_service.continuation(
                            model, prompt, length, wanted.is_set, lambda text: written(1, text)
                        ),
                    )
                steps.put(False)
            except WorkbenchError as problem:
                steps.put(problem)

        threading.Thread(target=work, daemon=True).start()
        try:
            while (step := steps.get()) is not False:
                if isinstance(step, WorkbenchError):
                    raise step
                yield texts[0], texts[1]
            yield texts[0], texts[1]
        finally:
            wanted.clear()
