"""All trace maps of a run, and the tables of its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.weights.fact_tracing import corruption, findings
from analyses.weights.fact_tracing.constants import (
    ATTENTION,
    KINDS,
    MLP,
    NOISE,
    RESAMPLE,
    SEVERED,
    STATE,
)
from analyses.weights.fact_tracing.fact_sites import sites_of
from analyses.weights.fact_tracing.maps import as_array, class_table, restored_parts, trace
from hooks.sweeps.restoration import Restored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyses.weights.fact_tracing.fact_sites import FactSite
    from analyses.weights.fact_tracing.maps import Maps
    from analyses.weights.fact_tracing.params import Params
    from analyses.weights.fact_tracing.traced_facts import Chosen
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

_KIND = {"states": STATE, "mlp": MLP, "attention": ATTENTION}
TRACED = (*_KIND, "severed")
"""The parts whose maps are made together."""
_SEVERED = {
    SEVERED["no_mlps"]: Restored(severed=("mlp_out",)),
    SEVERED["no_attention"]: Restored(severed=("attn_out", "mixer_out")),
}


def note(result: Result, model: InstrumentedModel, params: Params, chosen: Chosen) -> None:
    """What a reader has to know of how it was done."""
    window = restored_parts(model, KINDS, params.window, params.step)[ATTENTION].window
    result.provenance.notes |= {
        "facts": "; ".join(dict.fromkeys(each.source for each in chosen.relations)) or "yours",
        "window": f"{window} layers",
        "final norm": "applied" if params.norm == "final" else "left out",
        "untrained twin": "left out: it knows no fact, so there is no answer to take away",
    }
    if "mixer_out" in model.sites:
        result.provenance.notes["attention"] = (
            "in recurrent layers, what they write stands in the place of attention"
        )


def mixer_of(model: InstrumentedModel) -> str:
    """What moves things between tokens in this model, in words."""
    names = {"attn_out": "attention", "mixer_out": "recurrent layers"}
    return " and ".join(name for site, name in names.items() if site in model.sites)


def trace_facts(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    chosen: Chosen,
    parts: set[str],
    progress: Progress,
) -> dict[str, Maps]:
    """Maps by corruption: of noise always, of another subject where there is one with as many
    tokens.
    """
    import pandas as pd

    facts = chosen.facts
    sigma = corruption.subject_sigma(model, facts)
    result.provenance.notes["noise"] = (
        f"{params.noise:g} × {sigma:.3g}, the standard deviation of the subjects' embeddings as"
        f" they enter the first layer; {params.draws} draws, the same in corrupted and restored"
        " runs"
    )
    noisy = corruption.noisy(model, facts, params.noise * sigma, params.draws, params.seed)
    draws = {n: noisy[n * params.draws : (n + 1) * params.draws] for n in range(len(facts))}
    others = corruption.resampled(model, facts, chosen.relations, params.seed)
    wanted = restored_parts(
        model, [kind for part, kind in _KIND.items() if part in parts], params.window, params.step
    )
    severed = _SEVERED if "severed" in parts else {}
    at = 1.0 if not others else params.draws / (params.draws + 1)
    maps = {NOISE: trace(model, draws, wanted | severed, progress.subprogress(0, at))}
    if others:
        each = {n: [one] for n, one in others.items()}
        maps[RESAMPLE] = trace(model, each, wanted, progress.subprogress(at, 1))
    for name, found in maps.items():
        findings.add_total(result, found, name)
        result.arrays["effects" if name == NOISE else "effects_resampled"] = as_array(
            found, facts, model.n_layers
        )
    table = pd.concat([class_table(found, facts, name) for name, found in maps.items()])
    result.tables["by_class"] = table.reset_index(drop=True)
    findings.add_peaks(result, table, mixer_of(model))
    window = max(part.window for part in wanted.values())
    _add_sites(result, maps, chosen, window, params.seed, mixer_of(model))
    if severed:
        findings.add_severed(result, table, maps[NOISE], facts, params.seed)
    return maps


def _add_sites(
    result: Result, maps: Mapping[str, Maps], chosen: Chosen, window: int, seed: int, mixer: str
) -> None:
    """The early and the late site under noise, and beside it under the other corruption."""
    import pandas as pd

    rows = []
    for name, found in maps.items():
        sites = sites_of(found, chosen.facts, window, seed)
        if name == NOISE:
            findings.add_sites(result, sites, mixer)
        rows += [(name, *_row(site)) for site in sites]
    columns = ["corruption", "site", "kind", "tokens", "layer", "other_layer", "effect",
               "contrast", "low", "high", "null_low", "null_high", "n"]  # fmt: skip
    result.tables["sites"] = pd.DataFrame(rows, columns=columns)


def _row(site: FactSite) -> tuple[object, ...]:
    return (site.name, site.kind, site.tokens, *site.layers, site.effect, site.contrast, site.low,
            site.high, *site.null, site.n)  # fmt: skip


def add_facts(
    result: Result, model: InstrumentedModel, chosen: Chosen, maps: Mapping[str, Maps]
) -> None:
    """The tables of facts and of their tokens."""
    import pandas as pd

    rows, tokens = [], []
    for n, fact in enumerate(chosen.facts):
        shares = [_shares(maps.get(name), n) for name in (NOISE, RESAMPLE)]
        rows.append((
            n, fact.relation, fact.text, fact.subject, fact.answer, fact.said,
            fact.subject_tokens, shares[0][0], shares[0][1], shares[1][1],
        ))  # fmt: skip
        for pos, word in enumerate(model.prompt_strings(fact.ids)):
            kind = fact.token_class(pos) if pos >= fact.first else "before the subject"
            tokens.append((n, pos, word, kind))
    columns = ["fact", "relation", "prompt", "subject", "answer", "said", "subject_tokens",
               "clean", "corrupted", "resampled"]  # fmt: skip
    result.tables["facts"] = pd.DataFrame(rows, columns=columns)
    result.tables["tokens"] = pd.DataFrame(tokens, columns=["fact", "pos", "token", "kind"])


def _shares(maps: Maps | None, n: int) -> tuple[float, float]:
    """The answer's probability as it is and with the subject corrupted; NaN where not measured."""
    if maps is None or n not in maps.facts:
        return np.nan, np.nan
    at = maps.facts.index(n)
    return float(maps.clean[at]), float(maps.corrupted[at])
