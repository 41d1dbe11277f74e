"""Reducers by their spec, as it is written on the command line and in a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hooks.reduce.directions import LowRank, Project
from hooks.reduce.plain import Entropy, Last, MeanReducer, Norm
from hooks.reduce.topk import TopK
from workbench.errors import BadInput, NotFound

if TYPE_CHECKING:
    from hooks.reduce.protocol import Reducer
    from hooks.sites import Site

_PLAIN: dict[str, Reducer] = {
    "last": Last(),
    "mean": MeanReducer(),
    "norm": Norm(),
    "entropy": Entropy(),
}
_WITH_NUMBER: dict[str, type[TopK] | type[LowRank]] = {"topk": TopK, "lowrank": LowRank}
SPECS = (*_PLAIN, "topk:K", "project:FILE", "lowrank:R")


def parse(text: str) -> Reducer:
    """A reducer from its spec, e.g. `norm`, `topk:8`, `project:direction.npy`.

    Raises:
        NotFound, BadInput: an unknown name, a number or file that will not do.
    """
    name, _, about = text.strip().partition(":")
    if name in _PLAIN and not about:
        return _PLAIN[name]
    if name == "project" and about:
        return Project.read(about)
    if name in _WITH_NUMBER:
        if not about.isascii() or not about.isdigit() or not 0 < len(about) < 7 or int(about) < 1:
            raise BadInput(
                f"{text!r} is no reducer.",
                f"{name}:NUMBER, e.g. {name}:8",
                "Give a whole number from 1.",
            )
        return _WITH_NUMBER[name](int(about))
    raise NotFound.named("reducer", text, SPECS)


def check(reducer: Reducer, site: Site) -> None:
    """Raises BadInput if a reducer makes no sense at a site, and names those that do."""
    reason = reducer.reason_incompatible(site)
    if reason is None:
        return
    reducers: dict[str, Reducer] = {
        **_PLAIN,
        "topk:8": TopK(8),
        "project:FILE": Project(torch.ones(1)),
        "lowrank:16": LowRank(16),
    }
    compatible = [
        name for name, other in reducers.items() if other.reason_incompatible(site) is None
    ]
    raise BadInput(
        f"The reducer {reducer.spec!r} does not fit {site.short!r}: {reason}.",
        f"one of {', '.join(compatible)}" if compatible else "no reducer",
        "Choose one of those, or leave the reducer out for this site.",
    )
