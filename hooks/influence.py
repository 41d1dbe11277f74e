"""Which training examples pushed the model toward (or away from) a text: TracIn, computed by
Captum.

    scores = influence(model, tests, examples, checkpoints=["run/step-100",
    "run/step-200"])["influence"] int(scores.sel(prompt=0).argmax("example"))

An example's score is the product of its loss gradient with the test's, summed over checkpoints
(Pruthi et al. 2020): above zero, a training step on the example would lower the test's loss.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from hooks.backends.module_copy import twin
from hooks.eager_eval import steady
from hooks.finite_check import check_values
from hooks.metrics import loss, per_prompt
from hooks.module_call import call
from hooks.prompts import Prompts, Tokenized, listed, split, token_strings
from hooks.weights import is_quantized, requires_grad
from workbench.errors import BadInput, Unfit
from workbench.models import adapters
from workbench.torch_modes import ordinary
from workbench.trace import Trace

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hooks.model import InstrumentedModel

Checkpoint = Mapping[str, "Tensor"] | str | Path


@ordinary
def influence(
    model: InstrumentedModel,
    prompts: Prompts,
    examples: Prompts,
    checkpoints: Sequence[Checkpoint] | None = None,
    *,
    learning_rates: Sequence[float] | None = None,
    layers: int | Sequence[int] | None = None,
    batch_size: int = 1,
) -> Trace:
    """Score every training example for every text, by their losses (nats per token).

    Args:
        prompts: the texts whose loss is explained, or lists of their token ids.
        examples: the training texts, likewise.
        checkpoints: weights of this architecture from along the training, as state dicts or folders
            of safetensors; None is the weights the model has now. The model keeps its own.
        learning_rates: of the training at each checkpoint; None is 1.
        layers: count only the weights of these layers; None is all weights, the embeddings too.
        batch_size: as many examples' gradients, and as many texts', are in memory at a time, each
            as large as the counted weights; the examples are gone through once for so many texts.

    Returns:
        A Trace with `influence` (prompt, example), float32, in nats² per token² times weight⁻²
        (times the learning rate); the attribute `examples` is their texts, as a JSON list.

    Raises:
        BadInput: a text of one token, weights of another model, a folder without safetensors, or as
            many learning rates as do not fit.
        Unfit: quantized weights, or an adapter that is not merged.
    """
    import xarray as xr
    from captum.influence import TracInCP

    read = list(split(examples))
    if not read:
        raise BadInput("There are no training examples.", "at least one text", "Give some.")
    given, shown = listed(model, prompts), listed(model, read)
    sources: list[Checkpoint | None] = [None] if checkpoints is None else list(checkpoints)
    rates = [1.0] * len(sources) if learning_rates is None else list(learning_rates)
    if len(rates) != len(sources) or not sources:
        raise BadInput(
            f"There are {len(rates)} learning rates for {len(sources)} checkpoints.",
            "one each",
            "Give as many.",
        )
    _fit(model)
    for texts in (given, shown):
        per_prompt(loss, [len(text.ids) for text in texts])
    scored = _Scored(twin(model, "TracIn"))

    def load(scored: _Scored, number: int) -> float:
        source = sources[number]
        if source is not None:
            _put_in(
                scored.module,
                source if isinstance(source, Mapping) else _read(scored.module, Path(source)),
            )
        return rates[number]

    chosen = None if layers is None else [f"module.{name}" for name in _blocks(model, layers)]
    pad = partial(_batch, model)
    # The twin has the same parameters.
    with torch.enable_grad(), requires_grad(model.module.parameters()), steady(scored.module):
        method = TracInCP(
            scored,
            DataLoader(shown, batch_size, collate_fn=pad),  # type: ignore[arg-type]
            list(range(len(sources))),
            load,
            layers=chosen,
            loss_fn=_Loss(),
        )
        starts = range(0, len(given), batch_size)
        values = torch.cat(
            [method.influence(pad(given[start : start + batch_size])) for start in starts]
        )
    check_values(model, "the influence", values)
    coords = {"prompt": list(range(len(given))), "example": list(range(len(shown)))}
    array = xr.DataArray(
        values.detach().float().cpu().numpy(),
        dims=("prompt", "example"),
        coords=coords,
        name="influence",
    )
    array.attrs |= {
        "quantity": "TracIn score",
        "examples": json.dumps([text.text for text in shown], ensure_ascii=False),
    }
    return Trace(
        {"influence": array},
        token_strings(model, given),
        [text.text for text in given],
        asdict(model.card),
    )


def _fit(model: InstrumentedModel) -> None:
    """Refuse models whose parameters are not their matrices.

    Raises:
        Unfit: quantized weights have no gradients; with an adapter, how much a weight counts hangs
            on how it is kept.
    """
    attached = adapters.describe(model.module)
    if is_quantized(model.module) or attached:
        raise Unfit(
            f"{model.card.name} {'has an adapter: ' + attached if attached else 'is quantized'}, so"
            " its weights have no gradients of their own to compare.",
            "plain weights in floating point",
            (
                "Merge the adapter first (merge_and_unload)."
                if attached
                else "Load the model without quantization."
            ),
        )


class _Scored(nn.Module):
    """The module as Captum calls it: logits from the parts of a batch."""

    def __init__(self, module: PreTrainedModel) -> None:
        super().__init__()
        self.module: PreTrainedModel = module

    def forward(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor) -> Tensor:
        batch = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
        }
        logits: Tensor = call(self.module, **batch, use_cache=False).logits
        return logits


class _Loss(nn.Module):
    """Each example's loss; the labels are its ids and mask, (batch, 2, pos)."""

    reduction = "none"  # Captum asks

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return loss(logits, labels[:, 0], labels[:, 1])


def _batch(model: InstrumentedModel, texts: Sequence[Tokenized]) -> tuple[Tensor, ...]:
    batch = model.batch([text.ids for text in texts])
    return *batch.kwargs().values(), torch.stack([batch.input_ids, batch.attention_mask], 1)


def _blocks(model: InstrumentedModel, layers: int | Sequence[int]) -> list[str]:
    """The names of decoder layers in the module."""
    names = {id(part): name for name, part in model.module.named_modules()}
    found = []
    for layer in [layers] if isinstance(layers, int) else layers:
        if not -model.n_layers <= layer < model.n_layers:
            raise BadInput(
                f"{model.card.name} has no layer {layer}.",
                f"0 to {model.n_layers - 1}",
                "Choose one of those.",
            )
        found.append(names[id(model.layout.blocks[layer].module)])
    return found


def _put_in(module: PreTrainedModel, state: Mapping[str, Tensor]) -> None:
    """Other weights for the twin, in place of the shared ones, which stay as they are.

    Raises:
        BadInput: they are another model's.
    """
    own = dict(module.named_parameters())
    _check_fits(module, own, state)
    first = next(iter(own.values()))
    fitting = {}
    for name, values in state.items():
        values = values.to(first.device, own.get(name, first).dtype)
        # What was made inside `torch.inference_mode()` has no gradient.
        fitting[name] = values.clone() if values.is_inference() else values
    module.load_state_dict(fitting, strict=False, assign=True)
    module.tie_weights()


def _check_fits(module: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Raises BadInput if the weights are not those of `own`, the module's parameters."""
    strange = [name for name in state if name not in module.state_dict()]
    missing = [name for name in own if name not in state]
    wrong = [name for name, p in own.items() if name in state and state[name].shape != p.shape]
    for names, problem in (
        (strange, "unknown to it"),
        (missing, "missing"),
        (wrong, "of another shape"),
    ):
        if names:
            raise BadInput(
                f"A checkpoint does not fit {type(module).__name__}: {names[0]!r} is {problem}.",
                "the weights of this architecture, under the names of `module.state_dict()`",
                "Give checkpoints of the same model.",
            )


def _read(module: PreTrainedModel, folder: Path) -> dict[str, Tensor]:
    """The weights of a folder of safetensors, by the names that the module gives them.

    Raises:
        BadInput: it has none, or they are damaged or another model's.
    """
    from safetensors import SafetensorError

    if not any(folder.glob("*.safetensors")):
        raise BadInput(
            f"{folder} holds no safetensors.",
            "a folder that `save_pretrained` wrote",
            "Convert the checkpoint.",
        )
    # `transformers` reads it, since names in files are not always those of the module.
    options: dict[str, Any] = {
        "config": copy.deepcopy(module.config),
        "dtype": module.dtype,
        "use_safetensors": True,
        "local_files_only": True,
    }
    read: Any = type(module).from_pretrained  # gives two with `output_loading_info`
    try:
        loaded, about = read(folder, **options, output_loading_info=True)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise BadInput(
            f"The weights in {folder} cannot be read: {error}",
            "complete files of this model",
            "Check them.",
        ) from error
    astray = [*about["missing_keys"], *about["unexpected_keys"]]
    if astray:
        raise BadInput(
            f"{folder} does not fit {type(module).__name__}: {astray[0]!r}.",
            "all of its weights",
            "Check the folder.",
        )
    weights: dict[str, Tensor] = loaded.state_dict()
    return weights
