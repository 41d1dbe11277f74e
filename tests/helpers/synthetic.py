"""A knowledge-conflict Result made of structured random numbers: what the front ends are tested
on without a model.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.helpers.synthetic_tables import (
    PLACES,
    attention_array,
    depth_array,
    effects_array,
    facts_table,
    heads_table,
    rates_tables,
    tokens_table,
    transfer_table,
)
from workbench.result import Finding, Provenance, Result

HOSTILE = (
    "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'></script>$$x^2$$"
    " {{7*7}} \"'"
)


def synthetic_result(
    n_facts: int = 12,
    n_layers: int = 6,
    n_heads: int = 4,
    hostile: bool = False,
    transfer: bool = True,
    seed: int = 0,
) -> Result:
    """A whole result, shaped exactly as the analysis makes it.

    The strongest memory head is in the last but one layer, the strongest context head two layers
    earlier.

    Args:
        hostile: every string that could come from a stranger carries markup that tries to run a
            script.
        transfer: with the optional cross-relation table.
    """
    rng = np.random.default_rng(seed)
    bad = (lambda text: f"{text} {HOSTILE}") if hostile else (lambda text: text)
    facts = facts_table(rng, n_facts, bad)
    effects = effects_array(rng, n_facts // 2, n_layers, n_heads)
    heads = heads_table(rng, effects)
    tokens = tokens_table(facts)
    tables: dict[str, pd.DataFrame] = {
        "candidates": pd.DataFrame(
            {
                "subject": [bad(p) for p in PLACES],
                "answer": [bad(f"{p} City") for p in PLACES],
                "generated": [bad(f" {p} City.\nIt is") for p in PLACES],
                "known": [i % 3 != 0 for i in range(len(PLACES))],
                "first_token_correct": [i % 4 != 0 for i in range(len(PLACES))],
            }
        ),
        "facts": facts,
        "tokens": tokens,
        "heads": heads,
        **rates_tables(rng, n_facts),
    }
    if transfer:
        tables["transfer"] = transfer_table(rng)
    half = n_facts - n_facts // 2
    result = Result(
        analysis="knowledge-conflict",
        question=(
            "When my context contradicts what the model knows, which does it follow, and which"
            " attention heads decide?"
        ),
        params={
            "relation": bad("capital"),
            "template": bad("Question: what is the capital of {subject}?"),
            "seed": seed,
            "random_sets": 20,
        },
        tables=tables,
        arrays={
            "effects": effects,
            "attention": attention_array(rng, facts, tokens, n_layers, n_heads),
            "depth": depth_array(rng, n_layers),
        },
        provenance=Provenance(
            model={
                "name": bad("toy-6l"),
                "architecture": bad("LlamaForCausalLM"),
                "n_layers": n_layers,
                "n_heads": n_heads,
                "n_kv_heads": 1,
                "d_model": 64,
                "d_head": 16,
                "d_vocab": 1000,
                "n_params": 134_515_008,
                "dtype": "float32",
                "device": "cpu",
                "weight_hash": "0123456789abcdef",
                "quantized_from": bad("Q4_1"),
            },
            seed=seed,
            versions={"python": "3.11.9", "torch": "2.6.0", "memory-workbench": "0.1.0"},
            started="2026-01-02T03:04:05+00:00",
            duration=123.4,
            machine="x86_64, 2 CPU threads",
            notes={"attention": bad("sdpa"), "bos": "none"},
        ),
    )
    result.add(
        Finding(
            "known",
            float(len(PLACES) - 5),
            bad(f"The model knows 9 of {len(PLACES)} facts closed-book."),
            unit="facts",
        ),
        _rate_finding(
            "base",
            (0.4, 0.5, 0.1),
            half,
            bad("Untouched, it follows its memory in 40\u00a0% and the context in 50\u00a0%."),
        ),
        _rate_finding(
            "prune_context",
            (0.88, 0.05, 0.07),
            half,
            bad("With 5 context heads off it follows its memory in 88\u00a0%."),
        ),
        _rate_finding(
            "prune_memory",
            (0.02, 0.95, 0.03),
            half,
            bad("With 3 memory heads off it follows the context in 95\u00a0%."),
        ),
        *(
            _rate_finding(
                f"random_for_{group}",
                rates,
                half,
                bad(
                    f"20 random sets of {k} heads give 42% {wins} on average; the {group} heads"
                    " beat 20 of them."
                ),
            )
            for group, k, wins, rates in (
                ("context", 5, "memory", (0.42, 0.48, 0.1)),
                ("memory", 3, "context", (0.48, 0.42, 0.1)),
            )
        ),
        _rate_finding(
            "random",
            (0.42, 0.47, 0.11),
            half,
            bad("With random heads off, on average 42 % memory and 47 % context."),
        ),
        Finding(
            "cost_context",
            {
                "closed_book_before": 1.0,
                "closed_book_after": 0.96,
                "loss_before": 3.2,
                "loss_after": 3.27,
            },
            bad(
                "Pruning the context heads costs 4 points of closed-book accuracy and 0.07 nats per"
                " token."
            ),
        ),
    )
    return result


def _rate_finding(name: str, rates: tuple[float, float, float], n: int, says: str) -> Finding:
    words = ("memory", "context", "other")
    spans = {
        word: (max(rate - 0.15, 0.0), min(rate + 0.15, 1.0))
        for word, rate in zip(words, rates, strict=True)
    }
    return Finding(
        name,
        {**dict(zip(words, rates, strict=True)), "n": n},
        says,
        unit="fraction of prompts",
        interval=spans,
    )
