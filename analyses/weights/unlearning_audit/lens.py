"""At which layer a forgotten token would be said, were the model to end there (the logit lens,
nostalgebraist 2020): what only the last layers suppress is still first choice below them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor

from hooks.eager_eval import steady
from hooks.hook_points import hook_sites
from hooks.sites import SITES, Place
from hooks.unlearning.texts import Text

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

BATCH = 16
_ROWS = 64  # positions whose logits over the whole vocabulary are in memory at once


@torch.no_grad()
def lens_ranks(
    model: InstrumentedModel,
    texts: Sequence[Text],
    layers: Sequence[int] | None = None,
    batch: int = BATCH,
) -> pd.DataFrame:
    """Where the true next token stands in each layer, seen through the model's own final norm and
    unembedding, from one pass.

    Args:
        layers: None is all.

    Returns:
        A row per layer and text: `layer`, `text`, `median_rank` over its predicted tokens (1 is the
        likeliest), `first_choice` (share of rank 1), `log_p` (mean ln p).

    Raises:
        SiteNotFound: the model's logits are not the unembedding of its last stream.
    """
    wanted = range(model.n_layers) if layers is None else layers
    rows = []
    for chosen in model.batch_indices([len(t.ids) for t in texts], batch):
        part = [texts[i] for i in chosen]

        def take(
            place: Place, x: Tensor, part: list[Text] = part, chosen: list[int] = chosen
        ) -> None:
            for i, own, text in zip(chosen, x, part, strict=True):
                where = own[-len(text.targets) - 1 : -1]
                ranks, log_p = _through(model, where, text.targets)
                rows.append(
                    {
                        "layer": place.layer,
                        "text": i,
                        "median_rank": float(ranks.double().quantile(0.5)),
                        "first_choice": float((ranks == 1).double().mean()),
                        "log_p": float(log_p.double().mean()),
                    }
                )

        places = [Place(SITES["resid_post"], layer) for layer in wanted]
        with steady(model.module), hook_sites(model, places, take):
            given = model.batch([list(t.ids) for t in part])
            model.forward(**given.kwargs(), use_cache=False, logits_to_keep=1)
    table = pd.DataFrame(rows, columns=["layer", "text", "median_rank", "first_choice", "log_p"])
    return table.sort_values(["layer", "text"], ignore_index=True)


def _through(
    model: InstrumentedModel, resid: Tensor, targets: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """(rank, ln p) of each target in the stream before it, on the CPU."""
    ranks, log_p = [], []
    ids = torch.tensor(targets, device=resid.device)
    for states, own in zip(resid.split(_ROWS), ids.split(_ROWS), strict=True):
        logits = model.unembed(states).float()
        true = logits.gather(1, own[:, None])
        ranks.append((logits > true).sum(-1) + 1)
        log_p.append(true[:, 0] - logits.logsumexp(-1))
    return torch.cat(ranks).cpu(), torch.cat(log_p).cpu()
