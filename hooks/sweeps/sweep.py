"""The public door: `sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from hooks.eager_eval import steady
from hooks.prompts import Prompts, ids_of
from hooks.sites import SITES, Place
from hooks.sweeps import arguments, metrics
from hooks.sweeps.arguments import HOWS, SITES_OF_KIND, Align, At, How, Kind, Target, Targets
from hooks.sweeps.batched_forward import Freeze
from hooks.sweeps.metrics import Metric
from hooks.sweeps.paths import Input, PathJob, Receiver
from hooks.sweeps.runner import SweepJob
from hooks.sweeps.to_dataset import dataset
from hooks.sweeps.values import Values
from hooks.weights import sizes
from workbench.errors import BadInput
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    import xarray as xr

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@ordinary
def sweep(
    model: InstrumentedModel,
    prompts: Prompts,
    targets: Targets | None = None,
    *,
    kind: Kind = "heads",
    at: At | None = None,
    how: How = "zero",
    metric: metrics.Name | metrics.Own = "logit",
    layers: int | Sequence[int] | None = None,
    heads: Sequence[tuple[int, int]] | None = None,
    neurons: Sequence[tuple[int, int]] | None = None,
    sites: str | Sequence[str] | None = None,
    source: Prompts | None = None,
    align: Align = "start",
    reference: Prompts | None = None,
    noise: float = 3.0,
    seed: int = 0,
    receivers: Literal["logits"] | Sequence[tuple[int, int]] = "logits",
    inputs: Sequence[Input] = ("q", "k", "v"),
    freeze: Freeze = "heads",
    norm: metrics.Norm = "recomputed",
    method: Literal["exact", "attribution"] = "exact",
    recheck: int = 20,
    progress: Progress | None = None,
) -> xr.Dataset:
    """The effect of changing each part of the model alone, on what it says after each prompt.

        wb.sweep(model, "The capital of France is", [" Paris", " Rome"], metric="logit_diff")
        wb.sweep(model, corrupted, answers, kind="positions", how="patch", source=clean)      #
                                                                                              causal
                                                                                              tracing
        wb.sweep(model, prefix, suffix, at="all", metric="continuation")   # what it takes to recite
                                                                           a passage

    Exact: every number is what one hooked forward pass per part would give (float32: within 1e-3
    logits), and a control that is never changed must arrive at the model's own logits. What is not
    computed again: docs/exact-sweeps.md.

    Args:
        prompts: texts or token ids, of any lengths.
        targets: per prompt one token or several (as many for each), as ids or as the text a
            continuation begins with. Not needed for "kl" and functions. A text is its first token,
            but all of it with "continuation".
        kind: which parts. "heads": each head's output z. "layers": each of `sites` in each layer.
            "neurons": each MLP neuron. "positions": each of `sites` in each layer at each position
            (causal tracing, Meng et al. 2022). "edges": from each head to `receivers` alone (path
            patching, Wang et al. 2022).
        at: the positions that are changed, together: "last", "all", or a list (0 is a prompt's
            first token, -1 its last). For "positions": those that are changed one by one. None is
            "all" for those, else "last".
        how: "zero"; "mean" over all positions of the `reference` prompts; "resample", the value of
            a position drawn from the reference; "patch", the value that the `source` run has there;
            "noise", its own plus a normal draw with `noise` times the standard deviation of the
            token embeddings as they enter the first layer.
        metric: "logit", "logprob", "prob" of each target; "logit_diff", the first target's logit
            minus the mean of the others'; "kl" from the unchanged distribution; or a function of
            one prompt's (row, d_vocab) logits to (row,). With "continuation" the targets are a text
            from its first token to its last, which is fed in after the prompt: "match" says how
            many of its leading tokens greedy decoding says, "loss" its mean loss. `at` and
            positions then speak of prompt and continuation together, and a source is followed by
            the same continuation.
        layers, heads, neurons: the parts to do, (layer, head) and (layer, neuron); None is all.
            With "edges", `heads` send.
        sites: for "layers" and "positions"; default resid_pre, attn_out and mlp_out (those that the
            model has), and resid_pre.
        source: for "patch": per prompt the one to take values from, or one for all.
        align: which position of the source belongs to which: counted from the "start" or from the
            "end". With `at` "last" or only negative positions it is the end. Positions the source
            does not have keep their value.
        seed: of "resample" and "noise".
        receivers: "logits", or the heads whose `inputs` (of "q", "k", "v", each alone) receive.
        freeze: what keeps its unchanged value on the way from a sender: "heads" (MLPs and norms
            react) or "heads and mlps". With the latter the logits receive through the final norm
            and the unembedding only.
        norm: "recomputed" (true effect) or "frozen" (linear, additive over parts) scale of the
            final norm.
        method: "attribution" estimates every effect from one backward pass (Nanda 2023); the
            `recheck` strongest and as many drawn at random are then done exactly, and the error is
            in the attributes.
        progress: reports, and cancels.

    Returns:
        A Dataset. `effect` is the metric after the change minus before, float32, with dims (prompt,
        then of kind: layer head | site layer | layer neuron | site layer pos | receiver input layer
        head, then target where the metric has one per target); NaN where there is no such part, as
        at positions that a shorter prompt does not have. `before` is the metric of the unchanged
        run, `source` that of the source run. `token` holds each prompt's token strings. With
        "attribution", `effect` is the estimate and `exact` the rechecked values, NaN elsewhere.
        `attrs`: unit, control_error (logits), control_moved (the same in the metric's unit),
        control (a sentence about both), and how it was asked.

    Raises:
        BadInput, NotFound: an argument that cannot be; says what can.
        SiteNotFound: a part this model does not have.
        WorkbenchError: the control did not come out as the model itself.
    """
    arguments.check_name("kind of sweep", kind, list(SITES_OF_KIND))
    arguments.check_name("way to change a part", how, HOWS)
    arguments.check_name("method", method, ["exact", "attribution"])
    arguments.check_name("alignment", align, ["start", "end"])
    arguments.check_name("final norm", norm, ["recomputed", "frozen"])
    arguments.check_name("freeze", freeze, ["heads", "heads and mlps"])
    at = arguments.check_positions(
        at if at is not None else "all" if kind == "positions" else "last"
    )
    ids = ids_of(model, prompts)
    watched = arguments.target_ids(model, targets, prompts, len(ids), metric)
    metrics.check(metric, len(watched[0]))
    measured = Metric(metric, tuple(map(tuple, watched)), norm)
    if metric == "continuation":
        if kind == "edges" or norm == "frozen" or method == "attribution":
            raise BadInput(
                "A continuation is read at every token, which sweeps of edges, a frozen norm and"
                " attribution do not.",
                "another kind, norm='recomputed', method='exact'",
                "Leave those out, or choose another metric.",
            )
        # The last token predicts nothing that is asked.
        ids = [[*prompt, *row[:-1]] for prompt, row in zip(ids, watched, strict=True)]
        source = None if source is None else _followed(ids_of(model, source), watched)
    with steady(model.module):
        cells = _cells(model, ids, kind, at, layers, heads, neurons, sites)
        values = _values(model, cells, how, at, align, ids, source, reference, noise, seed)
        job: Any
        if kind == "edges" and receivers != "logits":
            sent = _receivers(model, receivers, inputs)
            job = PathJob(model, ids, cells, at, values, measured, freeze, progress, receivers=sent)
        else:
            job = SweepJob(
                model,
                ids,
                cells,
                at,
                values,
                measured,
                freeze if kind == "edges" else "nothing",
                progress,
            )
        if method == "attribution":
            from hooks.attribution import estimate

            if kind == "edges":
                what = "Attribution patching estimates total effects, not edges."
                raise BadInput(what, "another kind", "Sweep edges exactly.")
            return dataset(estimate(job, recheck, seed), kind, how)
        return dataset(job.run(), kind, how)


def _cells(
    model: InstrumentedModel,
    ids: Sequence[Sequence[int]],
    kind: Kind,
    at: At,
    layers: int | Sequence[int] | None,
    heads: Sequence[tuple[int, int]] | None,
    neurons: Sequence[tuple[int, int]] | None,
    sites: str | Sequence[str] | None,
) -> list[Target]:
    usual = [site for site in SITES_OF_KIND[kind] if site in model.sites] or SITES_OF_KIND[kind]
    named = (sites,) if isinstance(sites, str) else tuple(sites or usual)
    if sites is not None and kind not in ("layers", "positions"):
        raise BadInput(
            f"A sweep over {kind} has its own site.",
            "sites only with layers or positions",
            "Drop sites.",
        )
    if heads is not None and kind in ("heads", "edges"):
        return [Target("z", layer, head) for layer, head in arguments.check_heads(model, heads)]
    if heads is not None or (neurons is not None and kind != "neurons"):
        raise BadInput(
            f"A sweep over {kind} takes no heads or neurons.",
            "layers=…",
            "Choose the kind that has them.",
        )
    if neurons is not None:
        where: dict[int, list[int]] = {}
        for layer, neuron in arguments.pairs(neurons, "neuron"):
            where.setdefault(layer, []).append(neuron)
        places = arguments.changeable(model, named, sorted(where))
    else:
        where, places = {}, arguments.changeable(model, named, layers)
    ends = [-1] if isinstance(at, str) else at
    columns = (
        range(max(map(len, ids)))
        if at == "all"
        else sorted({p % len(prompt) for p in ends for prompt in ids})
    )
    cells: list[Target] = []
    for place in places:
        assert place.layer is not None
        site = place.site.short
        if kind in ("heads", "edges"):
            cells += [
                Target(site, place.layer, head)
                for head in range(model.layout.blocks[place.layer].n_heads)
            ]
        elif kind == "layers":
            cells.append(Target(site, place.layer))
        elif kind == "positions":
            cells += [Target(site, place.layer, None, pos) for pos in columns]
        else:
            width = sizes(model.layout.blocks[place.layer].down_proj)[1]
            chosen = sorted(set(where[place.layer])) if where else range(width)
            if any(not 0 <= n < width for n in chosen):
                raise BadInput(
                    f"Layer {place.layer} has no such neuron.",
                    f"0 to {width - 1}",
                    "Choose in that range.",
                )
            cells += [Target(site, place.layer, n) for n in chosen]
    return cells


def _followed(sources: list[list[int]], continuations: Sequence[Sequence[int]]) -> list[list[int]]:
    """Sources with what is fed in after their prompts; one source serves all prompts."""
    each = sources * len(continuations) if len(sources) == 1 else sources
    if len(each) != len(continuations):
        return each  # `_values` says what is wrong
    return [[*source, *row[:-1]] for source, row in zip(each, continuations, strict=True)]


def _values(
    model: InstrumentedModel,
    cells: Sequence[Target],
    how: How,
    at: At,
    align: Align,
    ids: Sequence[Sequence[int]],
    source: Prompts | None,
    reference: Prompts | None,
    noise: float,
    seed: int,
) -> Values:
    if (source is None) == (how == "patch"):
        raise BadInput(
            f"source is {'missing' if source is None else 'given'} and how is {how!r}.",
            "source=… with how='patch'",
            "Make them fit.",
        )
    if (reference is None) == (how in ("mean", "resample")):
        raise BadInput(
            f"reference is {'missing' if reference is None else 'given'} and how is {how!r}.",
            "reference=… with how='mean' or 'resample'",
            "Make them fit.",
        )
    sources = [] if source is None else ids_of(model, source)
    if source is not None and len(sources) not in (1, len(ids)):
        raise BadInput(
            f"There are {len(sources)} sources for {len(ids)} prompts.",
            f"1 or {len(ids)}",
            "Give one each.",
        )
    if at == "last" or (not isinstance(at, str) and all(p < 0 for p in at)):
        align = "end"
    places = list(dict.fromkeys(Place(SITES[cell.site], cell.layer) for cell in cells))
    references = [] if reference is None else ids_of(model, reference)
    return Values(model, how, places, references, sources, align, noise, seed)


def _receivers(
    model: InstrumentedModel,
    receivers: Literal["logits"] | Sequence[tuple[int, int]],
    inputs: Sequence[Input],
) -> list[Receiver]:
    for name in inputs:
        arguments.check_name("input of a head", name, ["q", "k", "v"])
    if isinstance(receivers, str):
        arguments.check_name("receiver", receivers, ["logits"])
    heads = arguments.check_heads(model, receivers)  # type: ignore[arg-type]
    hidden = [
        layer
        for layer, _ in heads
        if model.layout.blocks[layer].attention_call is None or model.layout.blocks[layer].gated
    ]
    if hidden:
        raise BadInput(
            f"Attention of layer {hidden[0]} of {model.card.name} cannot be made again from its"
            " queries, keys and values.",
            "receivers in layers whose z is what attention gives, or receivers='logits'",
            "Choose other receivers.",
        )
    return [(layer, head, name) for layer, head in heads for name in inputs]
