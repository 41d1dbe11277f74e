"""What many policies cost beside one reading: `python -m benchmarks.kv_cache [MODEL] [TOKENS]`.

The bound: eleven policies at five budgets on a prompt of 1,500 tokens cost at most three times one
prefill, and a question pass for each row.
"""

from __future__ import annotations

import sys
import time

import torch

import workbench as wb
from hooks.kv_cache.budget import keep, without
from hooks.kv_cache.policy_registry import policies, scored
from hooks.kv_cache.reading import read_context
from hooks.kv_cache.shared_rows import ask
from workbench.organisms import corpus

BUDGETS = (0.05, 0.1, 0.25, 0.5, 1.0)
QUESTION = "\nQuestion: what was the number that stood in the text? Answer: the number was"


def main(name: str = "smollm2-135m", tokens: int = 1500) -> None:
    model = wb.load(name, device="cpu")
    text = "\n".join(d.text for d in corpus.documents("neutral"))[: 8 * tokens]
    ids = model.tokens(text)[:tokens]
    question = model.continuation_tokens(QUESTION)
    given = torch.tensor([ids])
    with torch.no_grad():
        model.forward(input_ids=given[:, :64], use_cache=True, logits_to_keep=1)
        began = time.perf_counter()
        out = model.forward(input_ids=given, use_cache=True, logits_to_keep=1)
        prefill = time.perf_counter() - began
        began = time.perf_counter()
        model.forward(
            input_ids=torch.tensor([question]), past_key_values=out.past_key_values,
            use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        one = time.perf_counter() - began
    began = time.perf_counter()
    context = read_context(model, ids)
    reading = time.perf_counter() - began
    began, each = time.perf_counter(), {}
    rows = []
    for key, policy in policies().items():
        start = time.perf_counter()
        scores = scored(policy, context)
        each[key] = time.perf_counter() - start
        rows += [
            keep(context, scores, share, sinks=policy.sinks, recent=policy.recent)
            for share in BUDGETS
        ]
    rows += [without(context, 700, 710)] * len(BUDGETS)
    scoring = time.perf_counter() - began
    began = time.perf_counter()
    ask(context, rows, [question] * len(rows))
    asking = time.perf_counter() - began
    whole = reading + scoring + asking
    bound = 3 * prefill + len(rows) * one
    print(f"{name}, {len(ids)} tokens, a question of {len(question)}, {len(rows)} rows")
    print(f"one prefill {prefill:.2f} s, one question pass {one:.3f} s")
    print(f"reading {reading:.2f} s, scores {scoring:.2f} s, questions {asking:.2f} s")
    print("scores: " + ", ".join(f"{key} {took:.2f}" for key, took in each.items()))
    print(f"together {whole:.2f} s = {whole / prefill:.2f} prefills; the bound is {bound:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:2], tokens=int(sys.argv[2]) if len(sys.argv) > 2 else 1500)
