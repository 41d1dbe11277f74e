"""A change of a model as a person makes it: heads switched off, and a control of a finished run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from workbench import registry
from workbench.errors import BadInput, NotFound
from workbench.heads import parse_head
from workbench.registry import Control
from workbench.result import Result


@dataclass(frozen=True)
class ModelChange:
    """What is done to the model: heads switched off, and a control of a finished run set to a
    value.
    """

    off: tuple[tuple[int, int], ...] = ()
    control: Control | None = None
    value: float = 0.0

    @property
    def active(self) -> bool:
        return bool(self.off) or (self.control is not None and self.value != self.control.neutral)

    def says(self) -> str:
        """In a few words, for a caption."""
        texts = []
        if self.off:
            texts.append(f"{len(self.off)} head{'s' if len(self.off) > 1 else ''} off")
        if self.control is not None and self.value != self.control.neutral:
            side = (
                self.control.high_word
                if self.value > self.control.neutral
                else self.control.low_word
            )
            texts.append(f"dial {self.value:+.2f} toward {side}")
        return ", ".join(texts)

    @contextmanager
    def on(self, model: Any) -> Iterator[None]:
        """Inside, the model is changed."""
        import workbench as wb

        with ExitStack() as stack:
            if self.off:
                stack.enter_context(wb.ablate(model, heads=list(self.off), method="zero"))
            if self.control is not None and self.value != self.control.neutral:
                stack.enter_context(self.control(model, self.value))
            yield


def heads_from(names: Sequence[str], model: Any) -> tuple[tuple[int, int], ...]:
    """("L23H4", …) as pairs that this model has.

    Raises:
        BadInput: not a head's name, or not a head of this model.
    """
    heads = set()
    for name in names:
        head = parse_head(str(name))
        if head is None or head[0] >= model.n_layers or head[1] >= model.n_heads:
            raise BadInput(
                f"{str(name)[:40]!r} is no head of {model.card.name}.",
                f"L0H0 to L{model.n_layers - 1}H{model.n_heads - 1}",
                "Name heads as the grid does.",
            )
        heads.add(head)
    return tuple(sorted(heads))


def controls_of(result: Result, model: Any) -> Mapping[str, Control]:
    """The controls a finished run gives to this model.

    Raises:
        BadInput: the run was made with other weights, so its heads mean nothing here.
    """
    made_with = result.provenance.model
    if made_with.get("weight_hash") != getattr(model.card, "weight_hash", None):
        raise BadInput(
            f"That run was made with {made_with.get('name', 'another model')}, or other weights"
            " of it.",
            f"a run of {model.card.name}",
            "Choose another run, or start the workbench with that model.",
        )
    return registry.get(result.analysis).controls(result)


def change_of(
    model: Any,
    heads: Sequence[str],
    result: Result | None = None,
    control: str = "",
    value: float | None = None,
) -> ModelChange:
    """The change that a page, a program or a run asks for.

    Args:
        heads: names of heads to switch off.
        result: a finished run whose control changes the model too.
        control: which of its controls; "" is the first.
        value: where that control stands; None is where it changes nothing.

    Raises:
        BadInput, NotFound: a head, run or control that there is not.
    """
    off = heads_from(heads, model)
    if result is None:
        return ModelChange(off)
    controls = controls_of(result, model)
    name = control or next(iter(controls), "")
    if not name:
        return ModelChange(off)
    if name not in controls:
        raise NotFound.named("control of this run", name, controls)
    chosen = controls[name]
    return ModelChange(off, chosen, chosen.neutral if value is None else float(value))
