"""Where in the network a passage and its perturbed twin part: patching between the two, and
gradients by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.weights.paragraph_memorization.groups import Passage, greedy_match
from analyses.weights.paragraph_memorization.triggers import Perturbed
from hooks import sites
from hooks.gradients.activations import activation_gradients
from hooks.metrics import continuation_loss
from hooks.sites import SITES, Place
from hooks.sweeps import Patch, Positions, sweep

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

RESTORE, BREAK = "passage into twin", "twin into passage"
PATCHED = ("resid_pre", "attn_out", "mlp_out")
SLOPES = ("rot_q", "rot_k", "v", "z", "attn_out", "mlp_out", "resid_post")


@dataclass(frozen=True)
class Twin:
    """A memorized passage with the one token of its prefix replaced that costs most.

    `at` is the replaced token's place in the prompt, `divergence_position` the number of the first
    token of the suffix that the twin does not reproduce.
    """

    passage: Passage
    at: int
    token: int
    divergence_position: int

    @property
    def prompt(self) -> list[int]:
        return [*self.passage.prompt[: self.at], self.token, *self.passage.prompt[self.at + 1 :]]


def twins(
    model: InstrumentedModel, passages: Sequence[Passage], perturbed: Perturbed
) -> list[Twin]:
    """The twin of each passage that a single token can stop; passages that none stops have none."""
    made = []
    for n, passage in enumerate(passages):
        at, draw = perturbed.worst(n)
        place = passage.beginning + at
        twin = Twin(passage, place, int(perturbed.tokens[n, draw, at]), 0)
        match, _ = greedy_match(model, [(twin.prompt, passage.suffix)])
        if match[0] < len(passage.suffix):
            made.append(Twin(passage, place, twin.token, int(match[0])))
    return made


def patch(
    model: InstrumentedModel, chosen: Sequence[Twin], progress: Progress
) -> dict[str, xr.DataArray]:
    """What single values of the one run do in the other: change of ln p of the token at which
    they diverge (nats).

    Returns:
        `patch_positions` (passage, direction, site, layer, pos): one site at one token.
        `patch_heads` (passage, direction, layer, head): the output of one head, at all tokens.
        `patch_baseline` (passage, direction): ln p unpatched.
    """
    grids, heads, before = [], [], []
    for n, twin in enumerate(chosen):
        suffix = twin.passage.suffix[: twin.divergence_position]
        clean, other = [*twin.passage.prompt, *suffix], [*twin.prompt, *suffix]
        part = progress.subprogress(n / len(chosen), (n + 1) / len(chosen))
        of_positions, of_heads, of_before = [], [], []
        for way, (into, source) in enumerate([(other, clean), (clean, other)]):
            target = [twin.passage.suffix[twin.divergence_position]]
            change, positions = Patch([source]), list(range(twin.at, len(into)))
            some = part.subprogress(0.5 * way, 0.5 * way + 0.4)
            grid = sweep(
                model,
                [into],
                [target],
                over=Positions(PATCHED),
                change=change,
                read="logprob",
                positions=positions,
                progress=some,
            )
            of_positions.append(grid["effect"].isel(prompt=0, target=0, drop=True))
            of_before.append(float(grid["before"].squeeze()))
            some = part.subprogress(0.5 * way + 0.4, 0.5 * way + 0.5)
            each = sweep(
                model,
                [into],
                [target],
                change=change,
                read="logprob",
                positions="all",
                progress=some,
            )
            of_heads.append(each["effect"].isel(prompt=0, target=0, drop=True))
        grids.append(xr.concat(of_positions, "direction"))
        heads.append(xr.concat(of_heads, "direction"))
        before.append(of_before)
    names = {"passage": [t.passage.number for t in chosen], "direction": [RESTORE, BREAK]}
    return {
        # Passages are cut at different tokens; where one has none it stays NaN.
        "patch_positions": (
            xr.concat(grids, "passage", join="outer", coords="minimal", compat="override")
            .drop_vars("token", errors="ignore")
            .assign_coords(names)
            .transpose("passage", "direction", "site", "layer", "pos")
        ),
        "patch_heads": (
            xr.concat(heads, "passage", coords="minimal", compat="override")
            .drop_vars("token", errors="ignore")
            .assign_coords(names)
            .transpose("passage", "direction", "layer", "head")
        ),
        "patch_baseline": xr.DataArray(
            np.array(before), dims=("passage", "direction"), coords=names
        ),
    }


def slopes(
    model: InstrumentedModel, passages: Sequence[Passage], progress: Progress
) -> xr.DataArray:
    """Largest absolute gradient of the suffix's loss at each site, layer and token, (passage, site,
    layer, pos).

    The largest over all heads and dimensions, in nats per token of the suffix per unit of
    activation.
    """
    named = [short for short in SLOPES if short in model.sites and _changeable(model, short)]
    found: dict[str, list[xr.DataArray]] = {short: [] for short in named}
    for n, passage in enumerate(passages):
        progress(n / len(passages), f"Activation gradients: passage {n + 1} of {len(passages)}")
        ids = [*passage.prompt, *passage.suffix]
        trace = activation_gradients(
            model, [ids], continuation_loss(len(passage.suffix)), sites=named
        )
        for short in named:
            inner = [d for d in trace[short].dims if d not in ("prompt", "layer", "pos")]
            found[short].append(abs(trace[short]).max(inner).isel(prompt=0, drop=True))
    # Passages are of several lengths; where one has no token it stays NaN.
    by_site = [
        xr.concat(arrays, "passage", join="outer", coords="minimal", compat="override")
        for arrays in found.values()
    ]
    every = xr.concat(by_site, "site", join="outer", coords="minimal", compat="override")
    every = every.assign_coords(passage=[p.number for p in passages], site=named)
    return every.reset_coords(drop=True).transpose("passage", "site", "layer", "pos")


def _changeable(model: InstrumentedModel, short: str) -> bool:
    return all(
        sites.can_change(model.layout, Place(SITES[short], layer))
        for layer in model.sites[short] or []
    )
