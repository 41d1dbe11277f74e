"""What happens inside the model on one prompt: patterns, logit lens, direct logit attribution,
norms and neurons.

Everything comes from one forward pass (and one before it, where the answer is not given). It
describes one prompt and is no finding about the model: docs/inside.md has the definitions.

forward_pass.py    what is kept of every site, and what is computed where it passes by
dla.py             the direction of a logit, and what each head writes along it
schema.py          what the tables, arrays and findings mean
selections.py      what is looked at of a run
views.py           how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from analyses.prompt.single_prompt.schema import SCHEMA
from analyses.prompt.single_prompt.views import ANSWER, VIEWS
from workbench.errors import BadInput
from workbench.models.conversation import typed
from workbench.result import Finding, Result
from workbench.selection import head_name

if TYPE_CHECKING:
    import xarray as xr

    from analyses.prompt.single_prompt.forward_pass import Seen
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

__all__ = ["ANSWER", "SCHEMA", "VIEWS", "Params", "name", "question", "run"]

name = "inside"
title = "Trace"
question = "What happens inside the model on this prompt?"
MAX_TOKENS = 256
MAX_EXTRA = 256 * 2**20
"""Bytes of sites kept whole."""


class Params(BaseModel, frozen=True, extra="forbid"):
    prompt: str = Field(
        "The capital of France is", description="Text to read", min_length=1, max_length=8000
    )
    answer: str = Field(
        "",
        description=(
            "Whose logit is attributed to heads and layers: the first token of this text; empty is"
            " the model's own next token"
        ),
        max_length=100,
    )
    other: str = Field(
        "",
        description="A second answer: then the difference of the two logits is attributed",
        max_length=100,
    )
    chat: bool = Field(
        False,
        description=(
            "Read the prompt in the model's chat format: as what a user says, or a conversation as"
            ' JSON, a list of {"role": "user", "content": "…"}'
        ),
    )
    layers: list[int] | None = Field(
        None, description="Layers to show; empty is all. Attributions always cover all"
    )
    neurons: int = Field(
        5,
        ge=0,
        le=50,
        description=(
            "How many neurons of each layer to keep: those that fire strongest behind the first"
            " token"
        ),
    )
    sites: list[str] = Field(
        [],
        description="Further sites to keep whole, e.g. q or ln1_scale (`workbench models sites`)",
        max_length=20,
    )


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Look at one prompt. See the package's docstring for the steps."""
    from analyses.prompt.single_prompt import dla
    from analyses.prompt.single_prompt.forward_pass import look
    from hooks.prompts import tokenize
    from hooks.targets import distinct

    prompt = tokenize(model, typed(params.prompt, params.chat))
    ids = prompt.ids
    if len(ids) > MAX_TOKENS:
        raise BadInput(
            f"The prompt has {len(ids):,} tokens.",
            f"at most {MAX_TOKENS}, since every pattern is kept",
            "Shorten it.",
        )
    layers = _layers(model, params.layers)
    extra = _extra(model, params)
    progress(0.0, "Reading the prompt")
    answer = _token(model, prompt.text, params.answer)
    if answer is None:
        answer = int(model.next_logits([ids])[0].argmax())
    other = _token(model, prompt.text, params.other)
    if other is not None:
        distinct(
            model,
            [answer, other],
            [params.answer or model.token_strings([answer])[0], params.other],
        )
    targets = [answer] if other is None else [answer, other]
    words = model.token_strings(targets)
    why: dict[str, str] = {}
    no_sum = dla.why_not(model)
    lens = not _lens_why(model)
    if not lens:
        why["lens"] = _lens_why(model)
    if no_sum:
        why["heads"] = why["parts"] = no_sum
    progress(0.1, "Looking at every layer")
    along = None if no_sum else dla.direction(model, answer, other)
    seen = look(model, ids, layers, targets, along, neurons=params.neurons, lens=lens)
    progress(0.8, "Writing it down")

    result = Result(name)
    tokens = model.prompt_strings(ids)
    result.provenance.notes = {
        "answer": words[0],
        **({"other": words[1]} if other is not None else {}),
        "attributed": (
            (
                "logit of the answer"
                if other is None
                else "logit of the answer minus that of the other"
            )
            + (", before the soft-cap" if model.layout.logit_cap is not None else "")
        ),
        "norms": "the final norm's scale is frozen",
        "format": "the tokenizer's chat template" if prompt.from_template else "plain text",
    }
    _say_next(result, model, seen, tokens)
    result.tables["tokens"] = _tokens(tokens, prompt.from_template)
    _keep(result, model, seen, tokens, words, layers)
    if along is not None:
        _attribute(result, seen, along.constant, words)
    _say_lens(result, words[0])
    _left_out(result, model, seen, params, why)
    if extra:
        progress(0.85, "Keeping the chosen sites")
        _whole_sites(result, model, params, layers, extra)
    progress(1.0, "Done")
    return result


def _layers(model: InstrumentedModel, asked: list[int] | None) -> list[int]:
    every = range(model.n_layers)
    for layer in asked or ():
        if layer not in every:
            raise BadInput(
                f"{model.card.name} has no layer {layer}.",
                f"0 to {model.n_layers - 1}",
                "Choose layers in that range.",
            )
    return sorted(set(asked)) if asked else list(every)


def _extra(model: InstrumentedModel, params: Params) -> list[str]:
    """The short names of the sites to keep whole: they exist, and are not too large together."""
    from hooks.capture import estimate
    from hooks.sites import resolve

    if not params.sites:
        return []
    layers = params.layers or None
    shorts = [
        place.site.short for place in resolve(model.layout, params.sites, layers, model.card.name)
    ]
    size = estimate(model, params.prompt, params.sites, layers)
    if size > MAX_EXTRA:
        raise BadInput(
            f"The sites {', '.join(dict.fromkeys(shorts))} of this prompt take"
            f" {size / 2**20:,.0f} MB.",
            f"at most {MAX_EXTRA >> 20} MB",
            "Choose fewer sites or layers, or a shorter prompt; `workbench trace` streams any size"
            " to a folder.",
        )
    return list(dict.fromkeys(shorts))


def _token(model: InstrumentedModel, prompt: str, text: str) -> int | None:
    """The token a text begins with as a continuation; people type "Paris" and mean " Paris"."""
    if not text.strip():
        return None
    spaced = text if text[0].isspace() or prompt[-1:].isspace() else f" {text}"
    return int(model.continuation_tokens(spaced)[0])


def _lens_why(model: InstrumentedModel) -> str:
    layout = model.layout
    told = layout.head_gain == layout.head_gain and layout.logit_scale == layout.logit_scale
    return (
        "" if told else "between the last layer and the logits lies more than a norm and a matrix"
    )


def _tokens(tokens: list[str], from_template: list[bool] | None) -> Any:
    """The prompt's tokens; of a conversation, also whether a token is the chat format's
    ("template") or somebody's.
    """
    import pandas as pd

    table = pd.DataFrame({"pos": range(len(tokens)), "token": tokens})
    if from_template is not None:
        table["part"] = ["template" if mark else "message" for mark in from_template]
    return table


def _say_next(result: Result, model: InstrumentedModel, seen: Seen, tokens: list[str]) -> None:
    import pandas as pd
    import torch

    assert seen.last is not None
    top = torch.softmax(seen.last, -1).topk(min(10, len(seen.last)))
    said = model.token_strings(top.indices.tolist())
    result.tables["next"] = pd.DataFrame(
        {
            "rank": range(1, len(said) + 1),
            "token": said,
            "id": top.indices.tolist(),
            "probability": top.values.tolist(),
        }
    )
    result.add(
        Finding(
            "next",
            float(top.values[0]),
            f"After this prompt the likeliest next token is {_quoted(said[0])}"
            f" ({100 * float(top.values[0]):.1f} %), before {_quoted(said[1])}"
            f" ({100 * float(top.values[1]):.1f} %). One prompt, not a finding about the model.",
            unit="probability",
        )
    )


def _keep(
    result: Result,
    model: InstrumentedModel,
    seen: Seen,
    tokens: list[str],
    words: list[str],
    layers: list[int],
) -> None:
    """Patterns, norms, lens and neurons as arrays and tables."""
    import numpy as np
    import pandas as pd
    import xarray as xr

    if seen.patterns:
        values = np.stack([x.numpy() for x in seen.patterns.values()])
        result.arrays["patterns"] = xr.DataArray(
            values,
            dims=("layer", "head", "query", "key"),
            coords={"layer": list(seen.patterns)},
            attrs={"unit": "probability"},
        )
    norms = np.full((3, len(layers), len(tokens)), np.nan, "float32")
    from analyses.prompt.single_prompt.forward_pass import STREAMS

    for (site, layer), x in seen.norms.items():
        norms[STREAMS.index(site), layers.index(layer)] = x.numpy()
    result.arrays["norms"] = _by_site(norms, list(STREAMS), layers)
    if seen.lenses:
        result.tables["lens"], result.tables["answers"] = _lens_tables(model, seen, words)
    if seen.neurons:
        rows, values_ = [], []
        for layer, (numbers, x) in seen.neurons.items():
            first = min(1, len(x) - 1)
            at = x[first:].abs().argmax(0) + first
            for i, neuron in enumerate(numbers.tolist()):
                where = int(at[i])
                rows.append(
                    {
                        "label": f"L{layer}N{neuron}",
                        "layer": layer,
                        "neuron": neuron,
                        "largest": float(x[where, i]),
                        "pos": where,
                        "token": tokens[where],
                    }
                )
                values_.append(x[:, i].numpy())
        result.tables["neurons"] = pd.DataFrame(rows)
        result.arrays["neurons"] = xr.DataArray(
            np.stack(values_).astype("float32"),
            dims=("label", "pos"),
            coords={"label": [row["label"] for row in rows]},
            attrs={"unit": "activation (input of the MLP's last matrix)"},
        )


def _by_site(norms: Any, sites: list[str], layers: list[int]) -> xr.DataArray:
    import xarray as xr

    coords = {"site": sites, "layer": layers}
    return xr.DataArray(
        norms, dims=("site", "layer", "pos"), coords=coords, attrs={"unit": "length of the vector"}
    )


def _lens_tables(model: InstrumentedModel, seen: Seen, words: list[str]) -> tuple[Any, Any]:
    import pandas as pd

    # Each token is decoded once: thousands of cells hold a few hundred different ones.
    every = sorted({i for one in seen.lenses.values() for i in one.ids.flatten().tolist()})
    text = dict(zip(every, model.token_strings(every), strict=True))
    tops, answers = [], []
    for layer, one in seen.lenses.items():
        for pos, (ids, chances) in enumerate(
            zip(one.ids.tolist(), one.probabilities.tolist(), strict=True)
        ):
            tops += [
                {
                    "layer": layer,
                    "pos": pos,
                    "rank": rank,
                    "token": text[i],
                    "id": i,
                    "probability": p,
                }
                for rank, (i, p) in enumerate(zip(ids, chances, strict=True), 1)
            ]
            answers += [
                {
                    "layer": layer,
                    "pos": pos,
                    "which": which,
                    "token": word,
                    "logit": float(one.logits[pos, n]),
                    "probability": float(one.chances[pos, n]),
                    "rank": int(one.ranks[pos, n]),
                }
                for n, (which, word) in enumerate(zip(("answer", "other"), words, strict=False))
            ]
    return pd.DataFrame(tops), pd.DataFrame(answers)


def _attribute(result: Result, seen: Seen, constant: float, words: list[str]) -> None:
    """Direct logit attribution at every position, and what it says at the last one."""
    import numpy as np
    import pandas as pd
    import xarray as xr

    assert seen.embedding is not None
    unit = f"logits toward {_quoted(words[0])}" + (
        f" rather than {_quoted(words[1])}" if len(words) > 1 else ""
    )
    rows = [("embedding", "embedding", -1, seen.embedding.numpy())]
    order = ("attention", "mixer", "MLP", "rest")
    for (kind, layer), x in sorted(
        seen.pieces.items(), key=lambda piece: (piece[0][1], order.index(piece[0][0]))
    ):
        # What rounding leaves over is nothing to show.
        if kind != "rest" or float(x.abs().max()) > 1e-2:
            rows.append((f"{kind} {layer}", kind, layer, x.numpy()))
    rows.append(("biases", "biases", -1, np.full(len(seen.embedding), constant, "float32")))
    result.arrays["parts"] = xr.DataArray(
        np.stack([row[3] for row in rows]).astype("float32"),
        dims=("part", "pos"),
        coords={"part": [row[0] for row in rows]},
        attrs={"unit": unit},
    )
    table = pd.DataFrame(
        {
            "part": [row[0] for row in rows],
            "kind": [row[1] for row in rows],
            "layer": [row[2] for row in rows],
            "logits": [float(row[3][-1]) for row in rows],
        }
    )
    result.tables["parts"] = table
    total = float(table["logits"].sum())
    by_kind = table.groupby("kind", sort=False)["logits"].sum()
    listed = ", ".join(
        f"{kind} {value:+.2f}" for kind, value in by_kind.items() if abs(value) >= 0.005
    )
    what = (
        "The logit of "
        + _quoted(words[0])
        + (f" minus that of {_quoted(words[1])}" if len(words) > 1 else "")
    )
    result.add(
        Finding(
            "shares",
            {
                "total": round(total, 3),
                **{str(kind): round(float(value), 3) for kind, value in by_kind.items() if value},
            },
            f"{what} is {total:+.2f}; written by {listed} (final norm's scale frozen).",
            unit="logits",
        )
    )
    if not seen.heads:
        return
    layers = sorted(seen.heads)
    values = np.stack([seen.heads[layer].numpy().T for layer in layers]).astype("float32")
    result.arrays["heads"] = xr.DataArray(
        values, dims=("layer", "head", "pos"), coords={"layer": layers}, attrs={"unit": unit}
    )
    last = values[:, :, -1]
    best, head = np.unravel_index(int(np.abs(last).argmax()), last.shape)
    value = float(last[best, head])
    at = head_name(layers[int(best)], int(head))
    result.tables["heads"] = pd.DataFrame(
        [
            {"label": head_name(layer, h), "layer": layer, "head": h, "logits": float(last[i, h])}
            for i, layer in enumerate(layers)
            for h in range(last.shape[1])
        ]
    )
    result.add(
        Finding(
            "strongest",
            value,
            f"Of {last.size} heads {at} writes most at the last token: {value:+.2f} {unit},"
            " directly. What later layers make of a head is not in it.",
            unit="logits",
        )
    )


def _say_lens(result: Result, word: str) -> None:
    """From which layer on the answer is the likeliest token of the lens at the last position."""
    if "answers" not in result.tables:
        return
    table = result.tables["answers"]
    mine = table[(table["which"] == "answer") & (table["pos"] == table["pos"].max())].sort_values(
        "layer"
    )
    first = None
    for layer, rank in zip(mine["layer"][::-1], mine["rank"][::-1], strict=True):
        if rank > 1:
            break
        first = int(layer)
    last = int(mine["layer"].iloc[-1])
    if first is None:
        rank = int(mine["rank"].iloc[-1])
        says = (
            f"The logit lens never settles on {_quoted(word)}: after layer {last} it is number"
            f" {rank}."
        )
    else:
        says = (
            f"In the logit lens {_quoted(word)} is the likeliest token from layer {first} on (to"
            f" {last}, the last one shown)."
        )
    result.add(
        Finding("settles", float("nan") if first is None else float(first), says, unit="layer")
    )


def _left_out(
    result: Result, model: InstrumentedModel, seen: Seen, params: Params, why: dict[str, str]
) -> None:
    """What this model or this run does not have, each with its reason: tabs say it instead of
    standing empty.
    """
    import pandas as pd

    def of_sites(*shorts: str) -> str:
        return next(
            (block.why[s] for s in shorts for block in model.layout.blocks if s in block.why), ""
        )

    if "patterns" not in result.arrays:
        why["patterns"] = of_sites("pattern") or "its layers have no attention heads"
    if "heads" not in result.arrays and "heads" not in why:
        why["heads"] = (
            next(iter(seen.heads_why.values()), "")
            or of_sites("z", "attn_out")
            or "its layers have no attention heads"
        )
    if "neurons" not in result.arrays:
        why["neurons"] = (
            "none were asked for"
            if not params.neurons
            else of_sites("post") or "its layers have no MLP"
        )
    if why:
        result.tables["left_out"] = pd.DataFrame({"what": list(why), "why": list(why.values())})


def _whole_sites(
    result: Result, model: InstrumentedModel, params: Params, layers: list[int], shorts: list[str]
) -> None:
    """The chosen sites as arrays `site-NAME`, and the lengths of those that have a vector per
    token.
    """
    import numpy as np

    from hooks.capture import capture

    trace = capture(model, params.prompt, params.sites, params.layers or None)
    norms, names = [result.arrays["norms"].values], list(result.arrays["norms"]["site"].values)
    for short in shorts:
        array = trace[short].isel(prompt=0, drop=True)
        result.arrays[f"site-{short}"] = array
        rest = [d for d in array.dims if d not in ("layer", "pos")]
        if short in names or "pos" not in array.dims or "layer" not in array.dims:
            continue
        length: xr.DataArray = ((array.astype("float32") ** 2).sum(rest)) ** 0.5
        norms.append(
            length.transpose("layer", "pos").reindex(layer=layers).values[None].astype("float32")
        )
        names.append(short)
    result.arrays["norms"] = _by_site(np.concatenate(norms), [str(n) for n in names], layers)


def _quoted(token: str) -> str:
    return "“" + token.replace("\n", "↵") + "”"
