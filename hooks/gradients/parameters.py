"""Gradients of weights, by prompt: whole (`weight_gradients`), their norms (`gradient_norms`), or
largest and typical entries, of each prompt and of all together (`gradient_sizes`).

norms = gradient_norms(model, texts, loss, weights=["W_V", "W_out"])
norms["W_V"]       # (prompt, layer, kv_head)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from hooks import context_window, out_of_memory
from hooks.eager_eval import steady
from hooks.finite_check import check_values
from hooks.gradients.weights import Weight
from hooks.gradients.weights import weights as find
from hooks.metrics import checked, loss, per_prompt
from hooks.prompts import Prompts, Tokenized, read, token_strings
from hooks.quantized_layers import check_gradients
from hooks.weights import requires_grad
from hooks.without_interventions import without_hooks
from workbench.errors import Unfit
from workbench.torch_modes import ordinary
from workbench.trace import Trace

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from hooks.metrics import Metric, Metrics
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

LAYER = "layer_total"
_HEADS = ("head", "kv_head")


@ordinary
def weight_gradients(
    model: InstrumentedModel,
    prompts: Prompts,
    metric: Metrics = loss,
    weights: str | Sequence[str] | None = None,
    layers: int | Sequence[int] | None = None,
    *,
    progress: Progress | None = None,
) -> Trace:
    """The gradient of each prompt's metric by the weights, one backward pass per prompt.

    Interventions are seen.

    Args:
        prompts: texts, or lists of token ids.
        metric: one for all prompts, or one each.
        weights: W_Q, W_K, W_V, W_O, W_gate, W_in, W_out; None is all that the model has. Each takes
            as much memory per prompt as the weight itself.
        layers: None is all.

    Returns:
        A Trace with arrays such as W_Q (prompt, layer, head, d_model, d_head) and W_in (prompt,
        layer, d_model, d_mlp), float32, in units of the metric per unit of weight.

    Raises:
        NotFound, Unfit, BadInput: weights or layers that are not there, or cannot be told apart.
    """
    given, chosen = list(read(model, prompts)), find(model, weights, layers)
    found: dict[int, list[Tensor]] = {}
    for row, gradients in _gradients(model, given, metric, chosen, None, progress):
        found[row] = [w.view(gradients[w.parameter]).float().cpu() for w in chosen]
    return _trace(model, given, {w.name: list(w.dims) for w in chosen}, chosen, found)


@ordinary
def gradient_norms(
    model: InstrumentedModel,
    prompts: Prompts,
    metric: Metrics = loss,
    weights: str | Sequence[str] | None = None,
    layers: int | Sequence[int] | None = None,
    *,
    chunk: int = 8,
    one_by_one: bool = False,
    progress: Progress | None = None,
) -> Trace:
    """The size of each prompt's gradient by the weights: which weights a text would move if it were
    trained on.

    The gradients of all prompts of one length come from one vectorized backward pass
    (`torch.func.vmap` over `grad`), which is exact: prompts do not see each other, and nothing is
    padded.

    Args:
        prompts, metric, weights, layers: see `weight_gradients`.
        chunk: prompts whose gradients are in memory at a time, each as large as the chosen weights.
        one_by_one: a backward pass per prompt instead; for models that cannot be vectorized.

    Returns:
        A Trace with the Euclidean (Frobenius) norm by head or matrix, e.g. W_Q (prompt, layer,
        head), W_in (prompt, layer), and of all chosen weights of a layer together: `layer_total`
        (prompt, layer). In units of the metric per unit of weight.

    Raises:
        Unfit: the model's code, or an intervention's, decides by its values, and so it cannot be
            vectorized.
        NotFound, BadInput: see `weight_gradients`.
    """
    given, chosen = list(read(model, prompts)), find(model, weights, layers)
    squares: dict[int, list[Tensor]] = {}
    for row, gradients in _gradients(
        model, given, metric, chosen, None if one_by_one else chunk, progress
    ):
        squares[row] = [_squares(w, gradients[w.parameter]) for w in chosen]
    dims = {w.name: [d for d in w.dims if d in _HEADS] for w in chosen}
    trace = _trace(model, given, dims, chosen, squares)
    arrays = {name: trace[name] ** 0.5 for name in trace}
    sums = [trace[name].sum([d for d in trace[name].dims if d in _HEADS]) for name in trace]
    arrays[LAYER] = sum(sums[1:], sums[0]) ** 0.5
    for name in arrays:
        arrays[name] = arrays[name].rename(name).assign_attrs(quantity="gradient norm")
    return Trace(arrays, trace.tokens, trace.prompts, trace.model)


@ordinary
def gradient_sizes(
    model: InstrumentedModel,
    prompts: Prompts,
    metric: Metrics = loss,
    weights: str | Sequence[str] | None = None,
    layers: int | Sequence[int] | None = None,
    *,
    chunk: int = 8,
    one_by_one: bool = False,
    progress: Progress | None = None,
) -> xr.Dataset:
    """The largest and the typical entry of gradients by the weights, of each prompt and of all
    prompts together.

    Each prompt's own sizes and those of the mean gradient differ: in the mean, what pulls two
    prompts in opposite directions cancels. Stoehr et al. 2024 show the largest entry of a batch's
    gradient.

    Args:
        prompts: texts or token ids. The others: see `gradient_norms`.

    Returns:
        A Dataset: for each weight NAME (size, prompt, layer[, head or kv_head]), and `NAME.batch`
            without prompt, of the
        mean over prompts. `size` is "max" (of absolute values) and "rms"; in units of the metric
        per unit of weight.

    Raises:
        Unfit, NotFound, BadInput: see `gradient_norms`.
    """
    import xarray as xr

    given, chosen = list(read(model, prompts)), find(model, weights, layers)
    sizes: dict[int, list[Tensor]] = {}
    mean: dict[str, Tensor] = {}
    for row, gradients in _gradients(
        model, given, metric, chosen, None if one_by_one else chunk, progress
    ):
        sizes[row] = [_sizes(w, gradients[w.parameter]) for w in chosen]
        for name, gradient in gradients.items():
            mean[name] = (
                gradient / len(given) + mean[name] if name in mean else gradient / len(given)
            )
    in_order = [sizes[row] for row in range(len(given))]
    arrays = {}
    for name in dict.fromkeys(w.name for w in chosen):
        numbers = [n for n, w in enumerate(chosen) if w.name == name]
        per_prompt = torch.stack([torch.stack([own[n] for n in numbers], 1) for own in in_order], 1)
        batch = torch.stack([_sizes(chosen[n], mean[chosen[n].parameter]) for n in numbers], 1)
        of_layers = [chosen[n] for n in numbers]
        arrays[name] = _labelled(per_prompt, ("size", "prompt", "layer"), of_layers)
        arrays[f"{name}.batch"] = _labelled(batch, ("size", "layer"), of_layers)
    return xr.Dataset(arrays)


def _labelled(values: Tensor, dims: tuple[str, ...], weights: Sequence[Weight]) -> xr.DataArray:
    """Sizes of one weight in some layers, (*dims[, head or kv_head])."""
    import xarray as xr

    heads = [dim for dim in weights[0].dims if dim in _HEADS]
    coords: dict[str, list[Any]] = {
        "size": ["max", "rms"],
        "layer": [weight.layer for weight in weights],
        **{dim: list(range(values.shape[-1])) for dim in heads},
    }
    return xr.DataArray(values.numpy(), dims=(*dims, *heads), coords=coords)


def _sizes(weight: Weight, gradient: Tensor) -> Tensor:
    """(max, rms) of the entries, by head where the weight has heads, (2[, head])."""
    values = weight.view(gradient).float().abs()
    axes = [axis for axis, dim in enumerate(weight.dims) if dim not in _HEADS]
    return torch.stack([values.amax(axes), values.square().mean(axes).sqrt()]).cpu()


def _squares(weight: Weight, gradient: Tensor) -> Tensor:
    """Sums of squares, by head where the weight has heads."""
    squares = weight.view(gradient).float().square()
    return squares.sum([axis for axis, dim in enumerate(weight.dims) if dim not in _HEADS]).cpu()


def _gradients(
    model: InstrumentedModel,
    given: Sequence[Tokenized],
    metric: Metrics,
    chosen: Sequence[Weight],
    chunk: int | None,
    progress: Progress | None,
) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
    """(prompt, gradient by the parameter's name), `chunk` prompts in one vectorized pass.

    None is a pass each.
    """
    ids = [prompt.ids for prompt in given]
    metrics = per_prompt(metric, [len(row) for row in ids])
    check_gradients(model.module, model.card.name)
    each = (
        _one_by_one(model, ids, metrics, chosen)
        if chunk is None
        else _vectorized(model, ids, metrics, chosen, chunk)
    )
    with steady(model.module), without_hooks(model.module.modules(), _asks_for_gradients):
        for done, found in enumerate(each, 1):
            check_values(model, "the gradients", *found[1].values())
            yield found
            if progress is not None:
                progress(done / len(given), f"Gradients of prompt {done} of {len(given)}")


def _asks_for_gradients(hook: Any) -> bool:
    """What gradient checkpointing hangs on the embeddings: it is only for training, and cannot
    be vectorized.
    """
    return getattr(hook, "__name__", "") == "make_inputs_require_grads"


def _one_by_one(
    model: InstrumentedModel,
    ids: Sequence[list[int]],
    metrics: Sequence[Metric],
    chosen: Sequence[Weight],
) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
    """(prompt, gradient by the parameter's name), a backward pass each."""
    names = list(dict.fromkeys(w.parameter for w in chosen))
    parameters = [model.module.get_parameter(name) for name in names]
    with requires_grad(parameters):
        for row, (prompt, metric) in enumerate(zip(ids, metrics, strict=True)):
            batch = model.batch([prompt])
            with torch.enable_grad():
                logits = model.forward(**batch.kwargs(), use_cache=False).logits
                value = checked(metric(logits, batch.input_ids, batch.attention_mask), 1).sum()
            yield row, dict(zip(names, torch.autograd.grad(value, parameters), strict=True))


def _vectorized(
    model: InstrumentedModel,
    ids: Sequence[list[int]],
    metrics: Sequence[Metric],
    chosen: Sequence[Weight],
    chunk: int,
) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
    """(prompt, gradient by the parameter's name); prompts of one length and one metric share a
    backward pass.
    """
    names = list(dict.fromkeys(w.parameter for w in chosen))
    parameters = {name: model.module.get_parameter(name).detach() for name in names}
    groups: dict[tuple[int, int], list[int]] = {}
    for row, metric in enumerate(metrics):
        groups.setdefault((len(ids[row]), id(metric)), []).append(row)
    context_window.check(model, max(map(len, ids)))
    for rows in groups.values():
        metric, mask = (
            metrics[rows[0]],
            torch.ones(1, len(ids[rows[0]]), dtype=torch.long, device=model.device),
        )

        def value(
            changed: dict[str, Tensor], one: Tensor, metric: Metric = metric, mask: Tensor = mask
        ) -> Tensor:
            # The mask is one for all prompts: what looks into it need not be vectorized.
            kwargs = {"attention_mask": mask, "use_cache": False}
            logits = torch.func.functional_call(model.module, changed, (one[None],), kwargs).logits
            return checked(metric(logits, one[None], mask), 1)[0]

        def together(part: list[int], value: Any = value) -> Mapping[str, Tensor]:
            batch = torch.tensor([ids[row] for row in part], device=model.device)
            try:
                # Of torch's attention kernels only the plain one can be vectorized; `grad` itself
                # still differentiates.
                with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
                    found: Mapping[str, Tensor] = torch.func.vmap(
                        torch.func.grad(value), (None, 0)
                    )(parameters, batch)
                    return found
            except RuntimeError as error:
                if "vmap" not in str(error):
                    raise
                raise Unfit(
                    f"{model.card.name} cannot be vectorized over prompts:"
                    f" {str(error).splitlines()[0]}",
                    "a model (and interventions) whose code does not depend on its values",
                    "Say one_by_one=True.",
                ) from error

        for start in range(0, len(rows), chunk):
            for part, gradients in out_of_memory.results_in_parts(
                model, rows[start : start + chunk], together
            ):
                for n, row in enumerate(part):
                    yield row, {name: gradient[n] for name, gradient in gradients.items()}


def _trace(
    model: InstrumentedModel,
    given: Sequence[Tokenized],
    dims: Mapping[str, list[str]],
    chosen: Sequence[Weight],
    found: Mapping[int, Sequence[Tensor]],
) -> Trace:
    """Arrays (prompt, layer, *dims) by weight, from each prompt's values of each of `chosen`."""
    import xarray as xr

    arrays = {}
    for name, axes in dims.items():
        numbers = [n for n, w in enumerate(chosen) if w.name == name]
        values = torch.stack(
            [torch.stack([found[row][n] for n in numbers]) for row in range(len(given))]
        ).numpy()
        coords = {"prompt": list(range(len(given))), "layer": [chosen[n].layer for n in numbers]}
        coords |= {
            dim: list(range(values.shape[axis]))
            for axis, dim in enumerate(axes, start=2)
            if dim in _HEADS
        }
        attrs = {"quantity": "gradient"}
        arrays[name] = xr.DataArray(
            values, dims=("prompt", "layer", *axes), coords=coords, name=name, attrs=attrs
        )
    return Trace(
        arrays, token_strings(model, given), [prompt.text for prompt in given], asdict(model.card)
    )
