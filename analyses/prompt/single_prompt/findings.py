"""From one forward pass to tables, arrays, findings and their sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.prompt.single_prompt.params import Params
from workbench.result import Finding, Result
from workbench.selection import head_name
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from analyses.prompt.single_prompt.forward_pass import PromptActivations
    from hooks.model import InstrumentedModel


def lens_unavailable_reason(model: InstrumentedModel) -> str:
    layout = model.layout
    told = layout.head_gain == layout.head_gain and layout.logit_scale == layout.logit_scale
    return (
        "" if told else "more than a norm and a matrix lies between the last layer and the logits"
    )


def tokens_table(tokens: list[str], from_template: list[bool] | None) -> Any:
    """The prompt's tokens; of a conversation, also whether a token is the chat format's
    ("template") or somebody's.
    """
    import pandas as pd

    table = pd.DataFrame({"pos": range(len(tokens)), "token": tokens})
    if from_template is not None:
        table["part"] = ["template" if mark else "message" for mark in from_template]
    return table


def add_next(
    result: Result, model: InstrumentedModel, seen: PromptActivations, tokens: list[str]
) -> None:
    import pandas as pd
    import torch

    assert seen.last is not None
    top = torch.softmax(seen.last, -1).topk(min(10, len(seen.last)))
    said = model.token_strings(top.indices.tolist())
    result.tables["next_tokens"] = pd.DataFrame(
        {
            "rank": range(1, len(said) + 1),
            "token": said,
            "id": top.indices.tolist(),
            "probability": top.values.tolist(),
        }
    )
    result.add(
        Finding(
            "next_token",
            float(top.values[0]),
            f"After this prompt the likeliest next token is {quoted(said[0])}"
            f" ({percent(float(top.values[0]))}), before {quoted(said[1])}"
            f" ({percent(float(top.values[1]))}). This describes one prompt, not the model.",
            unit="probability",
        )
    )


def add_measurements(
    result: Result,
    model: InstrumentedModel,
    seen: PromptActivations,
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
    result.arrays["norms"] = by_site(norms, list(STREAMS), layers)
    if seen.lenses:
        result.tables["logit_lens"], result.tables["answer_lens"] = lens_tables(model, seen, words)
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
                        "max_activation": float(x[where, i]),
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


def by_site(norms: Any, sites: list[str], layers: list[int]) -> xr.DataArray:
    import xarray as xr

    coords = {"site": sites, "layer": layers}
    return xr.DataArray(
        norms, dims=("site", "layer", "pos"), coords=coords, attrs={"unit": "length of the vector"}
    )


def lens_tables(
    model: InstrumentedModel, seen: PromptActivations, words: list[str]
) -> tuple[Any, Any]:
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
                    "target": which,
                    "token": word,
                    "logit": float(one.logits[pos, n]),
                    "probability": float(one.chances[pos, n]),
                    "rank": int(one.ranks[pos, n]),
                }
                for n, (which, word) in enumerate(zip(("answer", "other"), words, strict=False))
            ]
    return pd.DataFrame(tops), pd.DataFrame(answers)


def attribute(result: Result, seen: PromptActivations, constant: float, words: list[str]) -> None:
    """Direct logit attribution at every position, and what it says at the last one."""
    import pandas as pd
    import xarray as xr

    unit = f"logits toward {quoted(words[0])}" + (
        f" rather than {quoted(words[1])}" if len(words) > 1 else ""
    )
    rows = _written(seen, constant)
    result.arrays["components"] = xr.DataArray(
        np.stack([row[3] for row in rows]).astype("float32"),
        dims=("component", "pos"),
        coords={"component": [row[0] for row in rows]},
        attrs={"unit": unit},
    )
    table = pd.DataFrame(
        {
            "component": [row[0] for row in rows],
            "type": [row[1] for row in rows],
            "layer": [row[2] for row in rows],
            "logits": [float(row[3][-1]) for row in rows],
        }
    )
    result.tables["components"] = table
    total = float(table["logits"].sum())
    by_kind = table.groupby("type", sort=False)["logits"].sum()
    listed = ", ".join(
        f"{kind} {value:+.2f}" for kind, value in by_kind.items() if abs(value) >= 0.005
    )
    what = (
        "The logit of "
        + quoted(words[0])
        + (f" minus that of {quoted(words[1])}" if len(words) > 1 else "")
    )
    result.add(
        Finding(
            "component_types",
            {
                "total": round(total, 3),
                **{str(kind): round(float(value), 3) for kind, value in by_kind.items() if value},
            },
            f"{what} is {total:+.2f}. Direct logit attribution (final norm's scale frozen):"
            f" {listed}.",
            unit="logits",
        )
    )
    if seen.heads:
        _add_heads(result, seen.heads, unit)


def _written(seen: PromptActivations, constant: float) -> list[tuple[str, str, int, np.ndarray]]:
    """(name, kind, layer or -1, logits of every position) of all that writes to the stream."""
    assert seen.embedding is not None
    rows = [("embedding", "embedding", -1, seen.embedding.numpy())]
    order = ("attention", "mixer", "MLP", "rest")
    for (kind, layer), x in sorted(
        seen.pieces.items(), key=lambda piece: (piece[0][1], order.index(piece[0][0]))
    ):
        # What rounding leaves over is nothing to show.
        if kind != "rest" or float(x.abs().max()) > 1e-2:
            rows.append((f"{kind} {layer}", kind, layer, x.numpy()))
    rows.append(("biases", "biases", -1, np.full(len(seen.embedding), constant, "float32")))
    return rows


def _add_heads(result: Result, heads: Mapping[int, Tensor], unit: str) -> None:
    """What the heads of each layer, (pos, head), write directly."""
    import pandas as pd
    import xarray as xr

    layers = sorted(heads)
    values = np.stack([heads[layer].numpy().T for layer in layers]).astype("float32")
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
            "top_head",
            value,
            f"Of {last.size} heads, {at} has the largest direct logit attribution at the last"
            f" token: {value:+.2f} {unit}. Effects through later layers are not in it.",
            unit="logits",
        )
    )


def add_lens(result: Result, word: str) -> None:
    """From which layer on the answer is the likeliest token of the lens at the last position."""
    if "answer_lens" not in result.tables:
        return
    table = result.tables["answer_lens"]
    rows = table[(table["target"] == "answer") & (table["pos"] == table["pos"].max())].sort_values(
        "layer"
    )
    first = None
    for layer, rank in zip(rows["layer"][::-1], rows["rank"][::-1], strict=True):
        if rank > 1:
            break
        first = int(layer)
    last = int(rows["layer"].iloc[-1])
    if first is None:
        rank = int(rows["rank"].iloc[-1])
        says = (
            f"In the logit lens {quoted(word)} is not the likeliest token at the last layer shown"
            f" ({last}): it has rank {rank} there."
        )
    else:
        says = (
            f"In the logit lens {quoted(word)} is the likeliest token from layer {first} on (to"
            f" {last}, the last one shown)."
        )
    result.add(
        Finding("answer_layer", float("nan") if first is None else float(first), says, unit="layer")
    )


def left_out(
    result: Result,
    model: InstrumentedModel,
    seen: PromptActivations,
    params: Params,
    why: dict[str, str],
) -> None:
    """What this model or this run does not have, each with its reason: tabs say it instead of
    standing empty.
    """
    import pandas as pd

    def of_sites(*shorts: str) -> str:
        return next(
            (
                block.unavailable_reason[s]
                for s in shorts
                for block in model.layout.blocks
                if s in block.unavailable_reason
            ),
            "",
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
            "the parameter neurons is 0"
            if not params.neurons
            else of_sites("post") or "its layers have no MLP"
        )
    if why:
        result.tables["left_out"] = pd.DataFrame({"item": list(why), "reason": list(why.values())})


def whole_sites(
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
    result.arrays["norms"] = by_site(np.concatenate(norms), [str(n) for n in names], layers)
