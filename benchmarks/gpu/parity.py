"""Does the card give what the CPU gives?

The same call on the same weights: on the card in the row's dtype, and on the CPU in float32 with
the weights rounded to that dtype. How far apart they may be follows from the dtype; `limit` says
why.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import workbench as wb
from benchmarks.gpu.models import PLANTED, Bench

_UNIT = {"float32": 2.0**-24, "bfloat16": 2.0**-8}
"""Largest relative error of one rounding."""
_LEAST = 1e-4
_REDUCED = (
    ("resid_post", "norm"),
    ("resid_post", "mean"),
    ("z", "last"),
    ("pattern", "entropy"),
    ("pattern", "topk:4"),
    ("post", "topk:4"),
    ("resid_post", "lowrank:2"),
)


def limit(dtype: str, n_layers: int, longest: int) -> float:
    """How far apart a value may be on the card and on the CPU, as a share of the largest of its
    kind.

    The errors of n roundings add up like a random walk, to √n of one; twice that is allowed. In
    float32 what differs is the order in which up to `longest` products are added, in 7 matrices a
    layer; but no less than 1e-4 is allowed, since a trained model has values that small errors grow
    on. In bfloat16 sums are exact beside what is stored: about ten values a layer are rounded, and
    the CPU's are not.
    """
    if dtype == "float32":
        return max(_LEAST, 2 * _UNIT[dtype] * math.sqrt(longest * 7 * n_layers))
    return 2 * _UNIT[dtype] * math.sqrt(10 * n_layers)


@dataclass(frozen=True)
class Values:
    """What a call gave.

    Attributes:
        scale: what differences are measured by; None is the largest value.
        passes: how often the limit may be used up: 2 where a second pass (backward, or a difference
            of two) adds its own.
        step: added to the limit: the share of a value that is one step of the dtype it was written
            in.
    """

    what: str
    array: np.ndarray
    scale: float | None = None
    passes: int = 1
    step: float = 0.0


Job = Callable[[Bench, str, Any], Iterator[Values]]
"""Gets the models, the name of the one that is asked, and that model."""


def compare(bench: Bench, name: str, dtype: str, job: Job) -> list[dict[str, Any]]:
    """Lines: what was compared, the largest difference, the limit, and where the two are
    furthest apart.
    """
    here, there = bench.reference(name, dtype), bench.model(name, dtype)
    config = here.module.config
    allowed = limit(dtype, here.n_layers, max(config.intermediate_size, config.hidden_size))
    lines = []
    for own, far in zip(job(bench, name, here), job(bench, name, there), strict=True):
        lines.append(_line(own, far.array, allowed * own.passes + own.step))
    return lines


def _line(own: Values, far: np.ndarray, allowed: float) -> dict[str, Any]:
    expected, actual = own.array.astype(np.float64), np.asarray(far).astype(np.float64)
    if expected.shape != actual.shape:
        return _failed(own, f"shape {actual.shape} on the card, {expected.shape} on the CPU")
    known = np.isfinite(expected)
    # What is masked is not-a-number, or so low that a softmax makes nothing of it.
    known &= expected > np.finfo(np.float16).min
    other = known != (np.isfinite(actual) & (actual > np.finfo(np.float16).min))
    if other.any():
        return _failed(
            own, f"{int(other.sum())} of {other.size} values are finite on one side only"
        )
    if not known.any():
        return _failed(own, "no value is finite")
    scale = own.scale if own.scale is not None else float(np.abs(expected[known]).max())
    apart = np.where(
        known, np.abs(np.where(known, actual, 0) - np.where(known, expected, 0)), 0
    ) / max(scale, 1e-30)
    at = np.unravel_index(int(apart.argmax()), apart.shape)
    return {
        "what": own.what,
        "difference": float(apart[at]),
        "limit": allowed,
        "scale": scale,
        "expected": float(expected[at]),
        "actual": float(actual[at]),
        "holds": bool(apart[at] <= allowed),
    }


def _failed(own: Values, why: str) -> dict[str, Any]:
    return {
        "what": own.what,
        "difference": None,
        "limit": None,
        "scale": own.scale,
        "holds": False,
        "why": why,
    }


# -- what is compared ------------------------------------------------------------------------------


def _prompts(bench: Bench, model: Any) -> list[list[int]]:
    """Two prompts of different lengths: the shorter one is padded."""
    first, second = bench.prompts(2, 16 if bench.tiny else 32)
    return [first, second[:-5]]


def _logit_scale(model: Any, prompts: Any) -> float:
    return float(model.next_logits(prompts).abs().max())


def logits(bench: Bench, name: str, model: Any) -> Iterator[Values]:
    """After each prompt, in one padded batch."""
    yield Values("next-token logits", model.next_logits(_prompts(bench, model)).cpu().numpy())


def loaded(bench: Bench, name: str, model: Any) -> Iterator[Values]:
    """The organism opened from its files, straight to where this model is."""
    opened = wb.load(PLANTED, device=str(model.device), dtype="float32")
    same = opened.card.weight_hash == bench.reference(PLANTED, "float32").card.weight_hash
    yield Values(
        "fingerprint of the weights is that on the CPU (1 is yes)", np.array([float(same)]), 1.0
    )
    yield Values("next-token logits", opened.next_logits(_prompts(bench, model)).cpu().numpy())


def identities(bench: Bench, name: str, model: Any) -> Iterator[Values]:
    """The contract: what is captured adds up to what the model computes."""
    for line in wb.contract(model, bench.prompts(1, 12)[0]):
        yield Values(line.name, np.array([line.error]), 1.0)


def captured(bench: Bench, name: str, model: Any) -> Iterator[Values]:
    """Every site, then reducers, then a folder written in float16 and bfloat16."""
    prompts = _prompts(bench, model)
    trace = wb.capture(model, prompts, list(model.sites))
    scores = trace["attn_scores"].values
    highest = float(np.abs(scores[np.isfinite(scores) & (scores > np.finfo(np.float16).min)]).max())
    for site in model.sites:
        # A probability is off by at most half of what its score is off by.
        yield Values(site, trace[site].values, max(highest, 1.0) if site == "pattern" else None)
    for site, reducer in _REDUCED:
        kept = wb.capture(model, prompts, site, reduce=reducer)
        values = (
            (kept[site] * kept[f"{site}.basis"]).sum("rank").values
            if reducer.startswith("lowrank")
            else kept[site].values
        )
        if reducer.startswith(
            "lowrank"
        ):  # which directions hold the most is badly told where several hold as much
            values = np.linalg.norm(np.nan_to_num(values), axis=(-1, -2))
        scale = max(highest, 1.0) if site == "pattern" else None
        yield Values(f"{site}, {reducer}", values, scale)
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float16", "bfloat16"):
            written = wb.capture(
                model, prompts, "resid_post", dtype=dtype, out=Path(folder) / dtype
            )
            values = written["resid_post"].values
            yield Values(
                f"resid_post, written as {dtype}",
                values,
                step=2.0 ** (-10 if dtype == "float16" else -7),
            )


def changed(bench: Bench, name: str, model: Any) -> Iterator[Values]:
    """Logits under interventions, and the text said under them."""
    prompts = _prompts(bench, model)
    source = wb.capture(model, prompts[:1], ["z", "resid_post", "pattern"])
    layer, scale = model.n_layers // 2, _logit_scale(model, prompts)
    text = model.tokenizer.decode(prompts[0])
    heads = [(layer, 0), (model.n_layers - 1, 1)]
    under: dict[str, Any] = {
        "heads set to zero": wb.ablate(model, heads),
        "heads at the last position set to zero": wb.ablate(model, heads, positions=[-1]),
        "heads set to their mean": wb.ablate(model, heads, method="mean", reference=[text]),
        "heads resampled": wb.ablate(model, heads, method="resample", reference=[text]),
        "a pattern halved": wb.scale(model, site="pattern", heads=[(layer, 1)], factor=0.5),
        "a vector added": wb.add(
            model, torch.ones(model.layout.d_model), site="resid_post", layers=[layer]
        ),
        "the stream patched": wb.patch(
            model, source, site="resid_post", layers=[layer], positions=[0, 2]
        ),
        "a pattern patched": wb.patch(model, source, site="pattern", layers=[layer]),
    }
    for what, change in under.items():
        with change:
            some = prompts[:1] if what == "a pattern patched" else prompts
            yield Values(what, model.next_logits(some).cpu().numpy(), scale)
    yield from _said(bench, model, text, heads, scale)


def _said(
    bench: Bench, model: Any, text: str, heads: list[tuple[int, int]], scale: float
) -> Iterator[Values]:
    """What `generate` says with heads off, read again in one pass under the same change: cached
    steps against the whole.
    """
    many = 4 if bench.tiny else 12
    with wb.ablate(model, heads):
        ids = model.batch(text).input_ids
        mask = torch.ones_like(ids)
        out = model.module.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=many, do_sample=False,
            output_logits=True, return_dict_in_generate=True,
        )  # fmt: skip
        with torch.no_grad():
            whole = model.module(input_ids=out.sequences[:, :-1], use_cache=False).logits.float()
    steps = torch.stack(out.logits, 1).float()
    whole = whole[:, -steps.shape[1] :]
    # Which token is likeliest may turn on rounding, and then the texts part; each device is held to
    # its own text.
    yield Values("generate, step by step against one pass", _beside(steps, whole, scale), 1.0)
    with wb.ablate(model, heads):
        said = model.generate(text, max_new_tokens=many)
    again = model.tokenizer.decode(out.sequences[0, ids.shape[1] :], skip_special_tokens=True)
    yield Values(
        "model.generate says what the module does (1 is yes)", np.array([float(said == again)]), 1.0
    )


def _beside(a: torch.Tensor, b: torch.Tensor, scale: float) -> np.ndarray:
    return np.array([float((a - b).abs().max()) / scale])


def swept(bench: Bench, name: str, model: Any) -> Iterator[Values]:
    """Sweeps of every kind, exact and estimated, and their control rows."""
    prompts, targets = _prompts(bench, model), [[5, 77], [9, 11]]
    scale, last = _logit_scale(model, prompts), model.n_layers - 1
    some = [0, last]
    kinds: dict[str, dict[str, Any]] = {
        "heads, last position": {"over": wb.Heads(layers=some)},
        "heads, all positions": {"over": wb.Heads(layers=some), "positions": "all"},
        "layers": {"over": "layers"},
        "neurons": {"over": wb.Neurons([(layer, n) for layer in some for n in range(8)])},
        "positions, patched": {
            "over": wb.Positions(layers=[last // 2]),
            "change": wb.Patch(prompts[::-1]),
        },
        "heads, mean": {"over": wb.Heads(layers=[last]), "change": wb.Mean(prompts)},
        "layers, noise": {
            "over": wb.Layers(layers=[0]),
            "change": "noise",
            "positions": "all",
        },
        "edges to the logits": {"over": wb.Edges(senders=[(0, 0), (last // 2, 1)])},
        "edges to heads": {"over": wb.Edges([(last, 0)], senders=[(0, 0), (0, 1)])},
        "heads, frozen norm": {
            "over": wb.Heads(layers=[last]),
            "read": wb.LogitDiff(norm="frozen"),
        },
    }
    for what, options in kinds.items():
        found = wb.sweep(model, prompts, targets, **{"read": "logit_diff"} | options)
        yield Values(what, found["effect"].values, scale, 2)
    found = wb.sweep(
        model,
        prompts,
        targets,
        read="logit_diff",
        positions="all",
        method=wb.Attribution(recheck=4, seed=0),
    )
    yield Values("heads, attribution patching", found["effect"].values, scale, 2)
    yield Values(
        "probability",
        wb.sweep(model, prompts, targets, over=wb.Heads(layers=[last]), read="prob")[
            "effect"
        ].values,
        1.0,
        2,
    )
    control = wb.sweep(model, prompts, targets, over=wb.Heads(layers=some)).attrs["control_error"]
    yield Values("control row, off by", np.array([control / scale]), 1.0)


def differentiated(bench: Bench, name: str, model: Any) -> Iterator[Values]:
    """Gradients of the loss at sites and by weights."""
    from hooks.metrics import loss

    prompts = _prompts(bench, model)
    sites = ["z", "resid_post", "post", "embed"]
    slopes = wb.activation_gradients(model, prompts, loss, sites)
    for site in sites:
        yield Values(f"loss by {site}", slopes[site].values, None, 2)
    text = [model.tokenizer.decode(prompts[0])]
    layers = [0, model.n_layers - 1]
    for one in (False, True):
        norms = wb.gradient_norms(
            model, text, weights=["W_Q", "W_V", "W_out"], layers=layers, one_by_one=one
        )
        for weight in ("W_Q", "W_V", "W_out"):
            yield Values(
                f"norm of the gradient by {weight}{', one by one' if one else ''}",
                norms[weight].values,
                None,
                2,
            )


def scored(bench: Bench, name: str, model: Any) -> Iterator[Values]:
    """What one pass says of a window: probabilities, and how far the right token leads."""
    from analyses.measures.sampler import Sampler
    from analyses.measures.scoring import score

    some = windows(bench, name, 4 if bench.tiny else 16)
    largest = _logit_scale(model, [w.prompt for w in some])
    for whole in (True, False):
        found = score(model, some, Sampler(1.0), whole=whole, floor=-math.inf if whole else -1e4)
        read = "whole suffixes" if whole else "in stages"
        yield Values(f"log probabilities, {read}", found.logprob, largest)
        yield Values(f"margins, {read}", found.margin, largest)
        if whole:
            yield Values("mean log probability over the vocabulary", found.surprise, largest)


def windows(bench: Bench, name: str, many: int) -> list[Any]:
    """Windows of 50 + 50 tokens: passages that the organism has read, or random ids."""
    from analyses.measures.windows import Window

    if name == PLANTED:
        from workbench import organisms
        from workbench.organisms import ledger

        book = ledger.read(organisms.folder_of(PLANTED))
        long = [entry.ids for entry in book.entries if len(entry.ids) >= 100]
        texts = [long[i % len(long)][:100] for i in range(many)]
    else:
        texts = [tuple(row) for row in bench.prompts(many, 100, seed=1)]
    return [Window(n, 0, (), tuple(ids[:50]), tuple(ids[50:])) for n, ids in enumerate(texts)]


JOBS: dict[str, Job] = {
    "loading": loaded,
    "logits": logits,
    "contract": identities,
    "capture": captured,
    "interventions": changed,
    "sweeps": swept,
    "gradients": differentiated,
    "extraction": scored,
}
