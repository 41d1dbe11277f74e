"""Where the answer is written at the last token: extraction events of layers, and of heads (Geva et
al. 2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

import workbench as wb
from analyses.measures.statistics import wilson
from hooks.weights import apply
from workbench.heads import head_name

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.fact_tracing.traced_facts import TracedFact
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_SITES = {"attn_out": "attention", "mixer_out": "recurrent layer", "mlp_out": "MLP"}
_ROWS = 512  # whose logits are held at once
NEAR = 10
"""A head extracts an answer that is among so many likeliest tokens of what it writes."""


def others(facts: Sequence[TracedFact]) -> list[int]:
    """For each fact the answer of another one, which is the null; −1 where all answers are one."""
    found = []
    for n, fact in enumerate(facts):
        rest = [each.target for each in (*facts[n + 1 :], *facts[:n]) if each.target != fact.target]
        found.append(rest[0] if rest else -1)
    return found


def read_as_tokens(
    model: InstrumentedModel, vectors: torch.Tensor, norm: str
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Logits of vectors in the stream, (row, d_vocab), some rows at a time."""
    for start in range(0, len(vectors), _ROWS):
        rows = vectors[start : start + _ROWS].to(model.device)
        logits = model.unembed(rows) if norm == "final" else apply(model.layout.unembed, rows)
        yield slice(start, start + len(rows)), logits.float().cpu()


def events(
    model: InstrumentedModel, facts: Sequence[TracedFact], norm: str, progress: Progress
) -> pd.DataFrame:
    """A row for each fact, layer and half of it: whether the likeliest token of what it writes at
    the last token is the fact's answer, and whether it is another fact's.
    """
    import pandas as pd

    sites = [site for site in _SITES if site in model.sites]
    trace = wb.capture(
        model, [fact.ids for fact in facts], sites=sites, positions=[-1], progress=progress
    )
    null, frames = others(facts), []
    for site in sites:
        values = trace[site].transpose("prompt", "layer", "pos", "d_model")
        flat = torch.as_tensor(values.values).flatten(0, 2)
        likeliest = torch.empty(len(flat), dtype=torch.long)
        for rows, logits in read_as_tokens(model, flat, norm):
            likeliest[rows] = logits.argmax(-1)
        said = likeliest.view(len(facts), -1).numpy()
        layers = [int(layer) for layer in values["layer"].values]
        for n, fact in enumerate(facts):
            frames += [
                (n, _SITES[site], layer, bool(token == fact.target), bool(token == null[n]))
                for layer, token in zip(layers, said[n], strict=True)
            ]
    return pd.DataFrame(frames, columns=["fact", "part", "layer", "event", "other"])


def event_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each half and layer: the share of facts with an event, with its interval."""
    import pandas as pd

    made = []
    for (part, layer), each in rows.groupby(["part", "layer"], sort=False):
        low, high = wilson(int(each["event"].sum()), len(each))
        made.append((part, layer, each["event"].mean(), low, high, each["other"].mean(), len(each)))
    return pd.DataFrame(made, columns=["part", "layer", "rate", "low", "high", "other", "n"])


def heads(
    model: InstrumentedModel, facts: Sequence[TracedFact], norm: str, progress: Progress
) -> pd.DataFrame:
    """A row for each head: the answer's median rank in what it writes at the last token on the
    choosing half, and on the other half how often it is near the top, beside another fact's answer.
    """
    import pandas as pd

    null, ranks = others(facts), {}
    layers = list(model.sites["result"] or ())
    for done, layer in enumerate(layers):
        progress(done / len(layers), f"Heads of layer {layer}")
        trace = wb.capture(
            model, [fact.ids for fact in facts], sites="result", layers=[layer], positions=[-1]
        )
        values = trace["result"].transpose("prompt", "layer", "pos", "head", "d_model")
        flat = torch.as_tensor(values.values).flatten(0, 3)
        count = values.sizes["head"]
        pairs = [[fact.target, max(0, other)] for fact, other in zip(facts, null, strict=True)]
        wanted = torch.tensor(pairs).repeat_interleave(count, 0)
        found = torch.empty(len(flat), 2)
        for rows, logits in read_as_tokens(model, flat, norm):
            at = logits.gather(1, wanted[rows])
            found[rows] = (logits[:, None] > at[:, :, None]).sum(-1).float()
        ranks[layer] = found.view(len(facts), count, 2).numpy()
    made = []
    for layer, each in ranks.items():
        for head in range(each.shape[1]):
            choosing, held = each[::2, head], each[1::2, head]
            hits = int((held[:, 0] < NEAR).sum())
            low, high = wilson(hits, len(held))
            made.append((
                layer, head, head_name(layer, head), float(np.median(choosing[:, 0])),
                float((choosing[:, 0] < NEAR).mean()), hits / max(1, len(held)), low, high,
                float((held[:, 1] < NEAR).mean()) if len(held) else np.nan, len(held),
            ))  # fmt: skip
    columns = ["layer", "head", "label", "rank", "chosen", "rate", "low", "high", "other", "n"]
    return pd.DataFrame(made, columns=columns)
