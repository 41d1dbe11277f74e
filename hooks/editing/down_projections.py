"""The matrix that facts are written into: the down projection of a layer's MLP, read as a memory
from keys (its input, d_mlp) to values (its output, d_model). (Meng et al. 2022, section 3.1.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hooks.eager_eval import steady
from hooks.weights import dense_weight, is_quantized, parameter_of, sizes
from workbench.errors import BadInput, Unfit

if TYPE_CHECKING:
    from hooks.editing.requests import EditRow
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class EditedMatrix:
    """A linear layer whose matrix is changed.

    Attributes:
        layer: the decoder layer it is in.
        module: the linear layer.
        name: of its matrix among the parameters of the model.
        turned: whether that is kept as (inputs, outputs), as GPT-2's `Conv1D` does.
    """

    layer: int
    module: nn.Module
    name: str
    turned: bool

    @property
    def d_mlp(self) -> int:
        """Inputs."""
        return sizes(self.module)[1]

    def weight(self) -> Float[Tensor, "outputs inputs"]:
        return dense_weight(self.module).detach()


def down_projection(model: InstrumentedModel, layer: int) -> EditedMatrix:
    """The down projection of a layer.

    Raises:
        BadInput: no such layer, or quantized weights.
        Unfit: the layer has no MLP with one down projection.
    """
    if not 0 <= layer < model.n_layers:
        raise BadInput(
            f"{model.card.name} has no layer {layer}.",
            f"0 to {model.n_layers - 1}",
            "Choose another layer.",
        )
    block = model.layout.blocks[layer]
    module = block.down_proj
    if block.router is not None:
        raise Unfit(
            f"Layer {layer} of {model.card.name} is a mixture of experts: no single matrix holds"
            " what it remembers.",
            "a layer with one down projection",
            "Choose a dense layer, or another model.",
        )
    if module is None:
        why = block.unavailable_reason.get("post") or block.unavailable_reason.get("mlp_out") or ""
        raise Unfit(
            f"Layer {layer} of {model.card.name} has no MLP with a down projection"
            + (f": {why}" if why else "."),
            "a layer with one",
            "Choose another layer or model.",
        )
    return edited_matrix(model, layer, module, "down projection")


def edited_matrix(
    model: InstrumentedModel, layer: int, module: nn.Module, what: str
) -> EditedMatrix:
    """A linear layer of the model as one that can be changed.

    Raises:
        BadInput: nothing can be added to its matrix.
    """
    found = None if is_quantized(module) else parameter_of(module)
    if found is None:
        raise BadInput(
            f"The {what} of layer {layer} is quantized, or scaled by an adapter: nothing can be"
            " added to its matrix.",
            "weights in floating point",
            "Load the model without quantization, and adapters merged.",
        )
    own, turned = found
    wanted = dict(module.named_parameters())[own]
    name = next(n for n, p in model.module.named_parameters() if p is wanted)
    return EditedMatrix(layer, module, name, turned)


def default_layer(model: InstrumentedModel) -> int:
    """A fifth of the way up, or the next layer that has a down projection. Published edits are made
    there and somewhat above (5 of 28 in GPT-J, 4 to 8 of 32 in Llama 3, 17 of 48 in GPT-2 XL); in
    SmolLM2-135M layers 4 to 6 of 30 carried the new answer to another wording without taking
    neighbours along, later ones took more. Which is best differs by model and fact: try several.
    """
    return _nearest_fit(model, round(model.n_layers / 5))


def late_layer(model: InstrumentedModel) -> int:
    """Three quarters of the way up, or the nearest layer with a down projection: where memories
    beside the weights are asked.
    """
    return _nearest_fit(model, round(model.n_layers * 0.75))


def editable_layers(model: InstrumentedModel) -> list[int]:
    """The layers that have a down projection of their own, and no mixture of experts."""
    return [
        layer
        for layer, block in enumerate(model.layout.blocks)
        if block.down_proj is not None and block.router is None
    ]


def _nearest_fit(model: InstrumentedModel, wanted: int) -> int:
    fit = editable_layers(model)
    if not fit:
        down_projection(model, min(wanted, model.n_layers - 1))  # says why there is none
    return min(fit, key=lambda layer: (abs(layer - wanted), layer))


@contextmanager
def watching(
    modules: Mapping[int, nn.Module], take: Callable[[int, Tensor, Tensor], None]
) -> Iterator[None]:
    """Inside, `take(number, input, output)` sees every call of these modules."""
    with ExitStack() as stack:
        for number, module in modules.items():

            def look(_: nn.Module, given: tuple[Any, ...], out: Any, number: int = number) -> None:
                take(number, given[0], out[0] if isinstance(out, tuple | list) else out)

            stack.callback(module.register_forward_hook(look).remove)
        yield


@dataclass(frozen=True)
class AtSubject:
    """What passes the subject's last token of each row.

    Attributes:
        keys: by layer, (row, d_mlp).
        values: what the down projection makes of them (bias included), (row, d_model).
        stream: the residual stream after a layer that was asked for, (row, d_model).
    """

    keys: dict[int, Tensor]
    values: dict[int, Tensor]
    stream: Tensor


_STREAM = -1


@torch.no_grad()
def read_at_subject(
    model: InstrumentedModel,
    projections: Sequence[EditedMatrix],
    rows: Sequence[EditRow],
    stream_after: int | None = None,
) -> AtSubject:
    """Read the rows with whatever is on now.

    Args:
        stream_after: the layer after which the stream is read.
    """
    modules: dict[int, nn.Module] = {p.layer: p.module for p in projections}
    if stream_after is not None:
        modules[_STREAM] = model.layout.blocks[stream_after].module
    keys: dict[int, list[Tensor]] = {number: [] for number in modules}
    values: dict[int, list[Tensor]] = {number: [] for number in modules}
    order: list[int] = []
    for chosen in model.batch_indices([len(r.ids) for r in rows], 32):
        order += chosen
        batch = model.batch([rows[i].ids for i in chosen])
        width = batch.input_ids.shape[1]
        at = [width - len(rows[i].ids) + rows[i].subject for i in chosen]

        def take(number: int, given: Tensor, out: Tensor, at: list[int] = at) -> None:
            for kept, x in ((keys, given), (values, out)):
                # Some families see all tokens of a batch in one row.
                x = x.detach().reshape(len(at), -1, x.shape[-1])
                kept[number].append(x[range(len(at)), at].float())

        with watching(modules, take), steady(model.module):
            model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=1)
    back = torch.tensor(order).argsort()
    found = [
        {number: torch.cat(parts)[back.to(parts[0].device)] for number, parts in kept.items()}
        for kept in (keys, values)
    ]
    stream = found[1].pop(_STREAM, torch.empty(0))
    found[0].pop(_STREAM, None)
    return AtSubject(found[0], found[1], stream)
