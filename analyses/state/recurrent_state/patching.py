"""States of another prompt put in, layer by layer and token by token: how far the answer goes over
to that prompt's.

Its null are states of prompts at random: other rows of pairs; of a text, the other text with its
tokens in another order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.state.recurrent_state import pair_rows
from hooks.capture import capture
from hooks.recurrent.changes import PatchState
from hooks.state_changes import change_state
from hooks.sweeps.change import Patch
from hooks.sweeps.over import States
from hooks.sweeps.sweep import sweep
from workbench.errors import BadInput
from workbench.result import Finding
from workbench.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from analyses.state.recurrent_state.followed_answer import FollowedAnswer
    from analyses.state.recurrent_state.params import Params
    from analyses.state.recurrent_state.shown import Shown
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

RANDOM = 3
"""Prompts of the null."""
_FEWEST = 0.5
"""Logits by which the two prompts must differ, of one answer against the other."""

_AS_FAR = 0.01
"""Shares of the way that are nearer to each other are alike."""


@dataclass(frozen=True)
class OtherPrompt:
    """A prompt whose states are put in.

    Attributes:
        ids: its tokens.
        answer: the token that is expected behind it.
        random: prompts of the null, as long as it is.
    """

    ids: list[int]
    answer: int
    random: list[list[int]]


def other_prompt(
    model: InstrumentedModel, params: Params, asked: FollowedAnswer, shown: Shown
) -> OtherPrompt:
    """Of a row of pairs the same row with another value of the pair that is asked for, and other
    rows; of a text the one that was typed.

    Raises:
        BadInput: no other text; one whose answer is the same.
    """
    rng = np.random.default_rng(params.seed)
    if shown.row is not None and asked.pair is not None and shown.vocabulary is not None:
        row, vocabulary, n = shown.row, shown.vocabulary, len(asked.ids)
        new = pair_rows.other_values(vocabulary, row, rng)
        changed = row.with_values(torch.tensor([asked.pair]), new, len(vocabulary.between))
        sequence = int(row.sequence[0, asked.pair])
        drawn = pair_rows.draw(vocabulary, row.n_pairs, RANDOM, params.seed + 1)
        return OtherPrompt(
            changed.ids[sequence, :n].tolist(),
            int(new[0]),
            [drawn.ids[int(first), :n].tolist() for first in drawn.sequence[:, 0]],
        )
    if not params.other.strip():
        raise BadInput(
            "There is no other prompt whose states could be put in.",
            "another prompt (--set other=…)",
            "Type one that is followed by something else, best of as many tokens; or leave the part"
            " patching out.",
        )
    ids = list(model.tokens(params.other))
    answer = int(model.next_logits([ids])[0].argmax())
    if answer == asked.answer:
        raise BadInput(
            f"Both prompts are followed by {quoted(model.token_strings([answer])[0])}.",
            "two prompts that are followed by different tokens",
            "Change one of them, or name the answer of the first.",
        )
    first = len(model.text.beginning)
    return OtherPrompt(
        ids,
        answer,
        [ids[:first] + rng.permutation(ids[first:]).tolist() for _ in range(RANDOM)],
    )


def measure(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    asked: FollowedAnswer,
    shown: Shown,
    layers: Sequence[int],
    progress: Progress,
) -> None:
    """Put the other prompt's state in after every token, in every layer alone and in all at once.

    Raises:
        BadInput: no other prompt, or one that is answered alike.
    """
    import xarray as xr

    other = other_prompt(model, params, asked, shown)
    sources = [other.ids, *other.random]
    found = sweep(
        model,
        [asked.ids],
        [[asked.answer, other.answer]],
        over=States(by="layer", layers=list(layers)),
        change=[Patch([ids], align="end") for ids in sources],
        read="logit_diff",
        positions="all",
        progress=progress.subprogress(0.0, 0.7),
    )
    before = float(found["before"].values.ravel()[0])
    there = float(found["source"].isel(change=0).values.ravel()[0])
    if before - there < _FEWEST:
        says = (
            "The two prompts hardly differ in how much likelier the first answer is than the"
            f" second: {before:+.2f} and {there:+.2f} logits."
        )
        result.add(Finding("nothing_to_move", before - there, says, unit="logits"))
        return
    effect = found["effect"].isel(prompt=0, drop=True)
    effect = effect.squeeze("target", drop=True) if "target" in effect.dims else effect
    share = effect.transpose("change", "layer", "pos").values / (there - before)
    all_layers = _together(model, asked, other, layers, progress.subprogress(0.7, 1.0))
    all_layers = (all_layers - before) / (there - before)
    table = _table(layers, share, all_layers)
    result.tables["patched"] = table
    result.arrays["patched"] = xr.DataArray(
        np.stack([share[0], share[1:].mean(0)]).astype("float32"),
        dims=("source", "layer", "pos"),
        coords={"source": ["other", "random"], "layer": list(layers), "pos": range(share.shape[2])},
    )
    words = model.prompt_strings(other.ids)
    result.provenance.notes["other prompt"] = "".join(words)
    result.provenance.notes["its answer"] = model.token_strings([other.answer])[0].strip()
    _add_finding(result, asked, table)


def _table(layers: Sequence[int], share: np.ndarray, all_layers: np.ndarray) -> pd.DataFrame:
    """A row for each layer and token; `all` for all layers at once."""
    import pandas as pd

    rows = []
    for name, of in [("all", all_layers), *((str(n), share[:, i]) for i, n in enumerate(layers))]:
        rows += [
            {
                "layer": name,
                "pos": pos,
                "other": float(of[0, pos]),
                "random": float(of[1:, pos].mean()),
                "random_low": float(of[1:, pos].min()),
                "random_high": float(of[1:, pos].max()),
            }
            for pos in range(of.shape[1] - 1)  # nothing is read behind the last token
        ]
    return pd.DataFrame(rows)


@torch.no_grad()
def _together(
    model: InstrumentedModel,
    asked: FollowedAnswer,
    other: OtherPrompt,
    layers: Sequence[int],
    progress: Progress,
) -> np.ndarray:
    """How much likelier the first answer is, in logits, with the states of all layers put in after
    each token, (source, token).
    """
    sources = [other.ids, *other.random]
    n = len(asked.ids)
    found = np.full((len(sources), n), np.nan)
    sites = [s for s in ("state", "conv_state") if s in model.sites]
    traces = [capture(model, [ids], sites=sites, layers=list(layers)) for ids in sources]
    for s, trace in enumerate(traces):
        for pos in range(n):
            progress((s * n + pos) / found.size, "States of all layers at once")
            put = PatchState(trace)
            with change_state(model, put, layers=list(layers), positions=[pos - n]):
                logits = model.next_logits([asked.ids])[0].float()
            found[s, pos] = float(logits[asked.answer] - logits[other.answer])
    return found


def _add_finding(result: Result, asked: FollowedAnswer, table: pd.DataFrame) -> None:
    """The first token after which one layer's state moves the answer as far as any does."""
    alone = table[table["layer"] != "all"]
    row = alone[alone["other"] >= alone["other"].max() - _AS_FAR].sort_values("pos").iloc[0]
    pos, notes = int(row["pos"]), result.provenance.notes
    says = (
        f"The other prompt's state of layer {row['layer']}, put in after token {pos}"
        f" {quoted(asked.words[pos])}, moves the answer {100 * row['other']:.0f} % of the way from"
        f" {quoted(notes['asked for'])} to {quoted(notes['its answer'])}; states of {RANDOM}"
        f" prompts at random move it {100 * row['random_low']:.0f} to"
        f" {100 * row['random_high']:.0f} % (half of the way: neither answer is likelier)."
    )
    result.add(
        Finding(
            "patched",
            {"other": float(row["other"]), "random": float(row["random"])},
            says,
            unit="share of the way",
            interval={"random": (float(row["random_low"]), float(row["random_high"]))},
        )
    )
