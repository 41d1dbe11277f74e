"""Every way to change a fact, as one thing: what is put on the model, and what prompts become."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from analyses.weights.edit_ledger.cases import EditCase
from analyses.weights.edit_ledger.params import Params
from hooks import editing
from hooks.editing.down_projections import default_layer, down_projection, editable_layers
from hooks.editing.memit import SETTINGS as MEMIT_SETTINGS
from hooks.editing.rome import Variant

if TYPE_CHECKING:
    from hooks.editing import KeyStatistics, WeightEdit
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@dataclass(frozen=True)
class MadeEdit:
    """What a method made of one fact or several.

    Attributes:
        method: as in `constants.METHODS`.
        on: inside it the model is changed.
        before: what the model is given in place of a prompt.
        edit: the change of weights, where it is one.
        norm: Frobenius norm of the change over that of the matrices it is in; nan where no weight
            is changed.
        key_ratio: see `hooks.editing.EditLog`; nan where there is none.
        note: what is to be known of it.
    """

    method: str
    on: Callable[[], AbstractContextManager[object]] = nullcontext
    before: Callable[[str], str] = lambda text: text
    edit: WeightEdit | None = None
    norm: float = float("nan")
    key_ratio: float = float("nan")
    note: str = ""


@dataclass
class Workshop:
    """A model with the statistics that the methods need: read once, used by all.

    Attributes:
        layer: to edit; of MEMIT and AlphaEdit the last of `layers`.
        seed: of prefixes and random edits.
        previous: the edits of a sequence so far, which AlphaEdit is to leave alone.
    """

    model: InstrumentedModel
    layer: int
    layers: list[int]
    seed: int
    tokens: int
    statistics: dict[int, KeyStatistics] = field(default_factory=dict)
    previous: list[WeightEdit] = field(default_factory=list)

    def read_keys(self, layers: Sequence[int], progress: Progress) -> None:
        """The moments of the keys of these layers, where they are not known yet."""
        missing = sorted(set(layers) - set(self.statistics))
        if missing:
            self.statistics |= editing.key_statistics(
                self.model, missing, tokens=self.tokens, progress=progress
            )


def workshop(model: InstrumentedModel, params: Params) -> Workshop:
    """The model with the layers that are edited.

    Raises:
        BadInput: there is no such layer, or it has no down projection.
        Unfit: no layer has one.
    """
    every = editable_layers(model)
    layer = default_layer(model) if params.layer is None else params.layer
    down_projection(model, layer)
    layers = [n for n in every if n <= layer][-5:]
    return Workshop(model, layer, layers, params.seed, params.tokens)


def random_layer(shop: Workshop, seed: int) -> int:
    """Another layer than the one that is edited, at random; the same where there is only one."""
    others = [n for n in editable_layers(shop.model) if n != shop.layer]
    return random.Random(seed).choice(others) if others else shop.layer


def request_of(case: EditCase) -> editing.EditRequest:
    """A case as the methods take it."""
    first = case.questions[0]
    separator = "" if first.behind(case.new) == case.new else " "
    return editing.EditRequest(case.template.rstrip(" "), case.subject, case.new, separator)


def layers_needed(methods: Sequence[str], shop: Workshop, random_layer: int) -> list[int]:
    """Layers whose keys have to be counted."""
    needed: set[int] = set()
    if {"r-rome", "rome"} & set(methods):
        needed |= {shop.layer, random_layer}
    if {"memit", "alphaedit"} & set(methods):
        needed |= set(shop.layers)
    return sorted(needed)


def make(
    shop: Workshop,
    method: str,
    cases: Sequence[EditCase],
    progress: Progress,
    layer: int | None = None,
) -> MadeEdit:
    """Facts changed by a method, on the model as it is now.

    Args:
        cases: one; or several at once, by methods that can.
        layer: another than the workshop's.
    """
    return _MAKERS[method](shop, [request_of(case) for case in cases], progress, layer)


_BOUND = 5e-4
"""How far constrained fine-tuning moves a weight (Meng et al. 2022, for GPT-2 XL)."""
Requests = Sequence[editing.EditRequest]
_Maker = Callable[[Workshop, Requests, "Progress", "int | None"], MadeEdit]


def _none(shop: Workshop, requests: Requests, progress: Progress, layer: int | None) -> MadeEdit:
    return MadeEdit("none")


def _rome(variant: Variant) -> _Maker:
    name = "rome" if variant == "original" else "r-rome"

    def make_(
        shop: Workshop, requests: Requests, progress: Progress, layer: int | None
    ) -> MadeEdit:
        at = shop.layer if layer is None else layer
        shop.read_keys([at], progress.subprogress(0, 0.1))
        (request,) = requests  # one fact at a time
        edit = editing.rome(
            shop.model, request, at, statistics=shop.statistics, variant=variant,
            settings=editing.ValueSettings(seed=shop.seed),
            progress=progress.subprogress(0.1, 1.0),
        )  # fmt: skip
        return _of_weights(shop.model, name, edit)

    return make_


def _of_weights(model: InstrumentedModel, method: str, edit: WeightEdit) -> MadeEdit:
    """A change of weights, with its size."""
    parameters = dict(model.module.named_parameters())
    names = set(edit.delta.left) | set(edit.delta.index)
    whole = sum(float(parameters[n].detach().float().norm()) ** 2 for n in names) ** 0.5
    ratio = float("nan") if edit.log.key_ratio is None else edit.log.key_ratio
    return MadeEdit(
        method,
        lambda: edit.applied(model),
        edit=edit,
        norm=edit.norm / whole if whole else float("nan"),
        key_ratio=ratio,
        note=" ".join(edit.log.notes),
    )


def random_change(shop: Workshop, like: MadeEdit, seed: int) -> MadeEdit:
    """The null of every method: a change of the same matrices and size, under the same keys where
    the method writes under keys, that brings something at random.
    """
    assert like.edit is not None
    edit = editing.random_like(like.edit, seed, same_keys=bool(like.edit.keys))
    return replace(_of_weights(shop.model, "random-change", edit), key_ratio=float("nan"))


def _in_context(
    shop: Workshop, requests: Requests, progress: Progress, layer: int | None
) -> MadeEdit:
    return MadeEdit("in-context", before=lambda text: editing.in_context(requests, text))


def _trained_and_said(
    shop: Workshop, requests: Requests, progress: Progress, layer: int | None
) -> MadeEdit:
    trained = _fine_tune(None)(shop, requests, progress, layer)
    said = _in_context(shop, requests, progress, layer)
    return replace(trained, method="fine-tune-in-context", before=said.before)


def _memit(shop: Workshop, requests: Requests, progress: Progress, layer: int | None) -> MadeEdit:
    shop.read_keys(shop.layers, progress.subprogress(0, 0.1))
    edit = editing.memit(
        shop.model, requests, shop.layers, statistics=shop.statistics,
        settings=replace(MEMIT_SETTINGS, seed=shop.seed), progress=progress.subprogress(0.1, 1.0),
    )  # fmt: skip
    return _of_weights(shop.model, "memit", edit)


def _alphaedit(
    shop: Workshop, requests: Requests, progress: Progress, layer: int | None
) -> MadeEdit:
    shop.read_keys(shop.layers, progress.subprogress(0, 0.1))
    edit = editing.alphaedit(
        shop.model, requests, shop.layers, statistics=shop.statistics, previous=shop.previous,
        settings=replace(MEMIT_SETTINGS, seed=shop.seed), progress=progress.subprogress(0.1, 1.0),
    )  # fmt: skip
    return _of_weights(shop.model, "alphaedit", edit)


def _fine_tune(eps: float | None) -> _Maker:
    name = "fine-tune" if eps is None else "fine-tune-bounded"

    def make_(
        shop: Workshop, requests: Requests, progress: Progress, layer: int | None
    ) -> MadeEdit:
        at = shop.layer if layer is None else layer
        edit = editing.fine_tune(shop.model, requests, at, eps=eps, progress=progress)
        return _of_weights(shop.model, name, edit)

    return make_


def _lora(shop: Workshop, requests: Requests, progress: Progress, layer: int | None) -> MadeEdit:
    return _of_weights(shop.model, "lora", editing.lora(shop.model, requests, progress=progress))


def _grace(shop: Workshop, requests: Requests, progress: Progress, layer: int | None) -> MadeEdit:
    memory = editing.Grace(shop.model)
    for n, request in enumerate(requests):
        inner = progress.subprogress(n / len(requests), (n + 1) / len(requests))
        memory.add(shop.model, request, seed=shop.seed, progress=inner)
    note = f"{len(memory.entries)} entries beside layer {memory.layer}."
    return MadeEdit("grace", lambda: memory.applied(shop.model), note=note)


def _wise(shop: Workshop, requests: Requests, progress: Progress, layer: int | None) -> MadeEdit:
    memory = editing.Wise(shop.model)
    for n, request in enumerate(requests):
        inner = progress.subprogress(n / len(requests), (n + 1) / len(requests))
        memory.add(shop.model, request, progress=inner)
    note = f"{len(memory.shards)} side matrices beside layer {memory.layer}."
    return MadeEdit("wise", lambda: memory.applied(shop.model), note=note)


_MAKERS: dict[str, _Maker] = {
    "none": _none,
    "r-rome": _rome("r-rome"),
    "rome": _rome("original"),
    "memit": _memit,
    "alphaedit": _alphaedit,
    "fine-tune": _fine_tune(None),
    "fine-tune-bounded": _fine_tune(_BOUND),
    "lora": _lora,
    "grace": _grace,
    "wise": _wise,
    "in-context": _in_context,
    "fine-tune-in-context": _trained_and_said,
}
