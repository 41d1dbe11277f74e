"""From what was read to tables and findings.

Table by table, docs/methods/extraction.md says what each column means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures import decoding
from analyses.measures.statistics import spearman, wilson
from analyses.weights.extraction import membership
from analyses.weights.extraction.scored_windows import ScoredWindows
from analyses.weights.extraction.tables import queries_table, rates_table, tokens_table
from workbench.result import Finding, Result
from workbench.wording import counted, percent, quoted

if TYPE_CHECKING:
    from analyses.measures.compression import Compressed
    from analyses.measures.window_scores import Scores
    from workbench.progress import Progress

NEAR = 0.1
"""Edit distance in tokens, as a share of the suffix, up to which a continuation counts as
near-verbatim.
"""
TIE = 1e-2
"""Logits: a margin smaller than this may turn out otherwise in another dtype or on another
device.
"""


def add_textless(result: Result, found: ScoredWindows) -> None:
    """That the model has ids which no text has, where it does: a sampler draws them like any
    other.
    """
    ids = found.textless
    if not ids:
        return
    likeliest = int(np.isin(found.scores.likeliest, list(ids)).sum())
    says = (
        f"The model has {counted(len(ids), 'token id')} that no text has: its vocabulary is larger"
        " than the tokenizer's. They take part in every probability, as they do when `generate`"
        f" samples. At {likeliest:,} of the {counted(int(found.scores.read.sum()), 'token')} that"
        " were read one of them is the model's first choice; it ends the prefix match there, and"
        " has no text in a continuation."
    )
    result.add(
        Finding("textless", {"n_ids": len(ids), "n_greedy": likeliest}, says, unit="ids; tokens")
    )


def add_extracted(result: Result, found: ScoredWindows) -> None:
    """Greedy and (n, p) extraction, overall and by how often a text was read."""
    import pandas as pd

    scores, params = found.scores, found.params
    rows = []
    for index, window in enumerate(found.windows):
        document = found.documents[window.document]
        rows.append(
            {
                "window": index,
                "name": document.name,
                "kind": document.kind,
                "repeats": document.repeats,
                "timing": document.timing,
                "start": window.start,
                "prefix_match": int(scores.match[index]),
                "exact": bool(found.exact[index]),
                "longest_run": int(found.runs[1][index]),
                "margin": float(scores.margin[index]),
                "suffix_logprob": float(scores.log_p[index]),
                "queries_needed": float(found.queries_needed[index]),
                "loss": -float(scores.logprob[index].mean()),  # NaN unless it was read to its end
                "prefix": found.text(window.prefix),
                "suffix": found.suffixes[index],
            }
        )
    table = pd.DataFrame(rows)
    if found.repeats is not None:
        table["repeats"] = table["repeats"].astype("int64")
    result.tables["windows"] = table
    result.tables["tokens"] = tokens_table(found)
    result.tables["rates"] = rates_table(found, table)
    result.tables["extraction_by_queries"] = queries_table(found)
    n, hits = len(table), int(found.exact.sum())
    low, high = wilson(hits, n)
    close = int((np.abs(scores.margin) < TIE).sum())
    near = (
        f" {counted(close, 'suffix')} of {n:,} {'is a near-tie' if close == 1 else 'are near-ties'}"
        f" (margin under {TIE:g} logits)."
        if close
        else ""
    )
    longest, run = int(scores.match.max()), int(found.runs[1].max())
    result.add(
        Finding(
            "greedy",
            {
                "rate": hits / n,
                "extracted": hits,
                "n": n,
                "longest_prefix_match": longest,
                "longest_run": run,
                "near_tie": TIE,
            },
            f"Greedy decoding reproduces {hits:,} of {counted(n, 'suffix')} in full,"
            f" {percent(hits / n)}. The longest prefix match is {longest} of"
            f" {counted(params.suffix, 'token')}; the longest run inside a suffix, given the text"
            f" before it, is {counted(run, 'token')}{found.unread}.{near}",
            unit="share of windows",
            interval={"rate": (low, high)},
        )
    )
    many = int((found.queries_needed <= params.tries).sum())
    low, high = wilson(many, n)
    result.add(
        Finding(
            "sampled",
            {
                "rate": many / n,
                "extracted": many,
                "n": n,
                "queries": params.tries,
                "probability": 0.5,
            },
            f"Sampling: {many:,} of {counted(n, 'suffix')} are extractable with"
            f" {counted(params.tries, 'sample')} each ({params.sampler}) and a probability of one"
            f" half or more, {percent(many / n)}.",
            unit="share of windows",
            interval={"rate": (low, high)},
        )
    )
    if found.repeats is not None:
        _add_repeats(result, found)


def _add_repeats(result: Result, found: ScoredWindows) -> None:
    assert found.repeats is not None
    counts = sorted(set(found.repeats.tolist()))
    if len(counts) < 2:
        return
    means = {count: float(found.scores.match[found.repeats == count].mean()) for count in counts}
    rate = {count: float(found.exact[found.repeats == count].mean()) for count in counts}
    rho = spearman(np.array(counts), np.array(list(means.values())))
    likely = [
        found.scores.logprob[found.repeats == count].mean() for count in counts
    ]  # NaN unless read to their ends
    smooth = spearman(np.array(counts), np.array(likely)) if np.isfinite(likely).all() else math.nan
    listed = ", ".join(f"{count}× {means[count]:.1f}" for count in counts)
    result.add(
        Finding(
            "repeats",
            {
                **({"spearman": rho} if rho == rho else {}),
                **({"spearman_logprob": smooth} if smooth == smooth else {}),
                f"prefix_match_at_{counts[0]}": means[counts[0]],
                f"prefix_match_at_{counts[-1]}": means[counts[-1]],
            },
            f"Mean prefix match by repeats in training: {listed} (of"
            f" {counted(found.params.suffix, 'token')}). Its rank correlation with the number of"
            f" repeats, over {len(counts)} numbers of repeats,"
            + (f" is {rho:+.2f}" if rho == rho else " cannot be told: all of these are equal")
            + (
                "; that of the mean log-probability, which rises before anything is reproduced, is"
                f" {smooth:+.2f}."
                if smooth == smooth
                else "."
            ),
            unit="tokens; rank correlation",
        )
    )
    if 0 in rate:
        never = found.repeats == 0
        hits, n = int(found.exact[never].sum()), int(never.sum())
        result.add(
            Finding(
                "nonmembers",
                {"rate": hits / n, "extracted": hits, "n": n, "prefix_match": means[0]},
                f"Control: of {counted(n, 'passage')} that were never in the training data, greedy"
                f" decoding reproduces {hits:,} in full; mean prefix match {means[0]:.1f} tokens.",
                unit="share of windows",
                interval={"rate": wilson(hits, n)},
            )
        )


def decode(result: Result, found: ScoredWindows, progress: Progress) -> None:
    """Memorization score and near-verbatim measures, of the windows with the longest matches."""
    chosen = np.argsort(-found.scores.match, kind="stable")[: found.params.decode]
    if not len(chosen):
        return
    generated = decoding.continuations(
        found.model, found.windows, found.scores, [int(i) for i in chosen], progress
    )
    table = result.tables["windows"]
    n = len(table)
    score, edit, lcs, texts = (
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, np.nan),
        [""] * n,
    )
    for index, ids in generated.items():
        suffix = found.windows[index].suffix
        texts[index] = found.text(ids)
        score[index] = decoding.token_accuracy(ids, suffix)
        edit[index] = decoding.edit_distance(ids, suffix)
        lcs[index] = decoding.longest_common_substring(texts[index], found.suffixes[index])
    table["memorization_score"], table["edit_distance"] = score, edit
    table["lcs_chars"], table["generated"] = lcs, texts
    near = int((edit <= NEAR).sum())
    least = "" if len(generated) == n else "at least "
    bound = (
        ""
        if len(generated) == n
        else f" The other {n - len(generated):,}, with shorter prefix matches, were not decoded."
    )
    result.add(
        Finding(
            "near_verbatim",
            {
                "rate": near / n,
                "extracted": near,
                "n": n,
                "decoded": len(generated),
                "memorization_score": float(np.nanmean(score)),
                "max_edit_distance": NEAR,
            },
            f"Near-verbatim: {least}{near:,} of {counted(n, 'continuation')} differ from the text"
            f" in at most {percent(NEAR)} of the tokens. Mean memorization score of the"
            f" {len(generated):,} that were decoded: {np.nanmean(score):.2f}.{bound}",
            unit="share of windows",
            interval={"rate": wilson(near, n)},
        )
    )


def add_membership(result: Result, found: ScoredWindows, reference: Scores | None) -> None:
    """The scores of every window; and where members are known, how well each score tells them."""
    import pandas as pd

    values = membership.scores_of(found.scores, found.suffixes)
    if reference is not None:
        # Per token of the model's own tokenizer, both: nats per token less nats per token.
        values["ratio"] = np.nanmean(found.scores.logprob, -1) - np.nanmean(reference.logprob, -1)
    table = result.tables["windows"]
    for score, each in values.items():
        table[f"score_{score}"] = each
    repeats = found.repeats
    if repeats is None or not (repeats == 0).any() or not (repeats > 0).any():
        return
    auc = pd.DataFrame(membership.auc_by_repeats(values, repeats))
    result.tables["membership"] = auc
    overall = auc[auc["repeats"] == "all"].set_index("score")
    best = str(overall["auc"].idxmax())
    each = auc[(auc["score"] == best) & (auc["repeats"] != "all")]
    ends = [f"{row['auc']:.2f} for {row['repeats']}" for _, row in each.iloc[[0, -1]].iterrows()]
    by_count = f", {ends[0]} and {ends[1]} repeats" if len(each) > 1 else ""
    low = float(overall.loc[best, "auc_low"])
    tells = (
        f"The membership score {best} separates members from non-members best"
        if low > 0.5
        else f"No membership score separates members from non-members; {best} comes nearest"
    )
    tpr = overall.loc[best, "tpr_at_0.01"]
    caught = "" if math.isnan(tpr) else f" TPR at 1 % FPR: {percent(tpr)}."
    few = (
        "" if not math.isnan(tpr) else f" (TPR at 1 % FPR needs {membership.ENOUGH:,} non-members.)"
    )
    result.add(
        Finding(
            "membership",
            {score: float(overall.loc[score, "auc"]) for score in overall.index},
            f"{tells}: AUC {overall.loc[best, 'auc']:.2f} over all (95 % interval {low:.2f} to"
            f" {overall.loc[best, 'auc_high']:.2f}){by_count}.{caught}{few}",
            unit="AUC, 0.5 is chance",
            interval={
                score: (float(overall.loc[score, "auc_low"]), float(overall.loc[score, "auc_high"]))
                for score in overall.index
            },
        )
    )


def add_compressed(result: Result, found: ScoredWindows, strings: Mapping[str, Compressed]) -> None:
    """How short a prompt brings each string back."""
    import pandas as pd

    rows = [
        {
            "string": text,
            "string_tokens": len(one.target),
            "prompt_tokens": len(one.prompt) if one.prompt else 0,
            "compression_ratio": one.ratio,
            "prompt": one.text,
            "gcg_steps": one.steps,
            "stopped_by": "convergence" if one.finished else "step limit",
        }
        for text, one in strings.items()
    ]
    table = (
        pd.DataFrame(rows).sort_values("compression_ratio", ascending=False).reset_index(drop=True)
    )
    result.tables["compression"] = table
    memorized, best = int((table["compression_ratio"] > 1).sum()), table.iloc[0]
    result.add(
        Finding(
            "compression",
            {
                "memorized": memorized,
                "n": len(table),
                "highest_ratio": float(best["compression_ratio"]),
            },
            (
                f"For {memorized} of {counted(len(table), 'string')} the search found a prompt"
                " that is shorter than the string. Highest compression ratio:"
                f" {quoted(str(best['string'])[:40])}, {counted(best['string_tokens'], 'token')}"
                f" from"
                f" {best['prompt_tokens']} (a lower bound: a shorter prompt may exist)."
                if best["prompt_tokens"]
                else (
                    "The search found no prompt that can be typed for any of"
                    f" {counted(len(table), 'string')}."
                )
            ),
            unit="tokens of the string per token of the prompt",
        )
    )
