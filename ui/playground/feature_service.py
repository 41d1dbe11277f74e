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
from typing import TYPE_CHECKING

from markupsafe import Markup

from hooks import prompt_output
from hooks.features.sae import SKIP
from hooks.prompts import Prompt, tokenize
from ui.app_state import AppState
from ui.playground import finished_runs
from workbench import autoencoders, draw
from workbench.draw.tokens import SPANS, TEMPLATE
from workbench.errors import BadInput, WorkbenchError
from workbench.models.conversation import typed
from workbench.playground import FeatureInfo, FeaturesForm
from workbench.registry import Analysis
from workbench.runs import RunEntry

if TYPE_CHECKING:
    import torch

    from hooks.features.sae import SAE

MOST = 256  # tokens of a prompt


@dataclass(frozen=True)
class FeatureReading:
    """A prompt that was read through an autoencoder.

    Attributes:
        active: activations, (pos, feature).
        classes: the class of each token, "chat format" for one that the chat template put in.
        by_run: whether a run says what the classes are, or the analysis by itself.
    """

    form: FeaturesForm
    features: SAE
    ids: list[int]
    tokens: list[str]
    active: torch.Tensor
    classes: list[str]
    by_run: bool
    info: FeatureInfo

    def place(self, pos: int | None) -> int:
        """The token asked for, or the last one of the class that is looked at first."""
        if pos is not None and 0 <= pos < len(self.ids):
            return pos
        return max(
            (n for n, c in enumerate(self.classes) if c == self.form.start and n >= SKIP),
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
        return self.info.typical.get(feature) or max([0.0, *self.active[SKIP:, feature].tolist()])

    def strip(self, feature: int | None) -> Markup:
        """The prompt: underlined by class, coloured by the feature's activation, but for its
        first tokens.
        """
        marks = {**self.form.marks, TEMPLATE: SPANS[TEMPLATE]}
        spans = [marks[c].name if c in marks else "" for c in self.classes]
        values = None
        if feature is not None:
            values = [math.nan] * min(SKIP, len(self.ids)) + self.active[SKIP:, feature].tolist()
        title = "" if feature is None else f"Feature {feature} at {self.features.place.name}"
        return draw.token_strip(
            self.tokens,
            values,
            spans=spans,
            marks={mark.name: mark for mark in marks.values()},
            title=title,
            unit="activation",
        )


class Reader:
    """Reads prompts for the pages of one server, with what runs of `analysis` say of features."""

    def __init__(self, app: AppState, analysis: Analysis, form: FeaturesForm) -> None:
        self._app, self._analysis, self._form = app, analysis, form
        self._opened = lru_cache(maxsize=8)(self._open)
        self._read = lru_cache(maxsize=32)(self._read_uncached)

    def choices(self) -> list[str]:
        """Autoencoders to choose from: those that ship for this model, and those that runs of it
        were made with.
        """
        model = self._app.slot.model
        if model is None:
            return []
        names = [
            name
            for name, entry in autoencoders.shipped().items()
            if entry.card.get("model") == model.card.name
        ]
        for run in self._runs():
            names += self._form.autoencoders(finished_runs.open_cached(run.path))
        return list(dict.fromkeys(names))

    def _runs(self) -> list[RunEntry]:
        return [
            e
            for e in self._app.entries()
            if not e.problem
            and e.analysis == self._analysis.name
            and e.model == self._app.slot.name
        ]

    def _info(self, name: str) -> FeatureInfo | None:
        """What the newest run says of an autoencoder of that name."""
        for run in self._runs():
            info = self._form.describe(finished_runs.open_cached(run.path), name)
            if info is not None:
                return info
        return None

    def read(self, name: str | None, prompt: str, chat: bool = False) -> FeatureReading:
        """A prompt as an autoencoder sees it.

        Raises:
            BadInput: no prompt, one too long, or no autoencoder.
            WorkbenchError: the autoencoder cannot be opened.
        """
        if not name:
            model = self._app.slot.need()
            raise BadInput(
                f"No autoencoder is chosen for {model.card.name}.",
                "one that ships, or a folder, RELEASE/ID or Neuronpedia id",
                f"Train one: workbench sae train --model {model.card.name} --layer N.",
            )
        return self._read(name.strip(), prompt, chat)

    def _open(self, name: str) -> SAE:
        import workbench as wb

        model = self._app.slot.need()
        with model.lock:
            opened: SAE = wb.open_features(name, model)
            return opened

    def _read_uncached(self, name: str, prompt: str, chat: bool) -> FeatureReading:
        from hooks.features.activation_stream import values

        model = self._app.slot.need()
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
        info = self._info(name)
        if info is None:
            classes = [self._form.class_of(token) for token in tokens]
        else:
            classes = [info.classes.get(i, info.otherwise) for i in ids]
        if given.from_template is not None:
            classes = [
                TEMPLATE if mark else own
                for own, mark in zip(classes, given.from_template, strict=True)
            ]
        return FeatureReading(
            self._form,
            features,
            ids,
            tokens,
            active,
            classes,
            info is not None,
            info or FeatureInfo(),
        )

    def steer(
        self,
        reading: FeatureReading,
        prompt: Prompt,
        feature: int,
        to: float,
        pos: int,
        length: int,
    ) -> Iterator[tuple[str, str]]:
        """(as it is, steered), the continuations as far as they are written; whoever stops asking
        stops the model.

        Raises:
            NotFound: no such feature.
        """
        model = self._app.slot.need()
        reading.features.check([feature])
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
                    prompt_output.continuation(
                        model, prompt, length, wanted.is_set, lambda text: written(0, text)
                    ),
                )
                with model.lock, reading.features.steer({feature: to}, positions=[pos]):
                    written(
                        1,
                        prompt_output.continuation(
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
