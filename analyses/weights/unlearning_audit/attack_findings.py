"""What attacks brought back, in sentences."""

from __future__ import annotations

import numpy as np

from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit import verdicts as v
from workbench.result import Finding, Result
from workbench.wording import counted, percent


def add_attacks(result: Result) -> None:
    """A finding for every attack that was run."""
    if "relearning" in result.tables:
        _relearnt(result)
    if "rounding" in result.tables:
        _rounded(result)
    if "sampling" in result.tables:
        _sampled(result)
    if "lens" in result.tables:
        _inside(result)


def _points(mean: float, low: float, high: float) -> str:
    if np.isnan(low):
        return f"{mean:+.0f}".replace("-", "−")
    return f"{mean:+.0f} ({low:+.0f} to {high:+.0f})".replace("-", "−")


def _relearnt(result: Result) -> None:
    table = result.tables["recovery"].dropna(subset=["excess"])
    if table.empty:
        return
    names = v.audited(result)
    said = []
    for trained_on in (c.OWN, c.RELATED, c.UNRELATED):
        rows = table[(table["trained_on"] == trained_on) & table["model"].isin(names)]
        if len(rows):
            each = ", ".join(
                f"{r.model} {_points(r.excess, r.low, r.high)}" for r in rows.itertuples()
            )
            said.append(f"from {trained_on}: {each}")
    null = "than in the reference" if v.reference_of(result) else "than of passages never read"
    own = table[(table["trained_on"] == c.OWN) & table["model"].isin(names)]
    result.add(
        Finding(
            "relearnt",
            {r.model: float(r.excess) for r in own.itertuples()},
            "A short training brings back so many points more of first choice, on passages that it"
            f" does not see, {null} (mean over the steps, 95 % over passages) – {'; '.join(said)}.",
            unit="points of first choice",
            interval={r.model: (float(r.low), float(r.high)) for r in own.itertuples()},
        )
    )


def _rounded(result: Result) -> None:
    rows, reference = result.tables["rounding"], v.reference_of(result)
    said, values, spans = [], {}, {}
    for bits in sorted(set(rows["bits"]) - {32}, reverse=True):
        each = []
        for name in v.audited(result):
            found = v.rounded_back(rows, name, bits, reference)
            each.append(f"{name} {_points(*found)}")
            values[f"{name}, {bits} bits"], spans[f"{name}, {bits} bits"] = found[0], found[1:]
        said.append(f"at {bits} bits {', '.join(each)}")
    undone = ""
    if "codes" in result.tables:
        four = result.tables["codes"]
        four = four[four["bits"] == four["bits"].min()].dropna(subset=["left"])
        if len(four):
            undone = (
                " Had the original been of 4 bits itself, so much of the change would be left: "
                + ", ".join(f"{r.model} {percent(r.left)}" for r in four.itertuples())
                + "."
            )
    null = ", less what it does to the reference" if reference else ""
    result.add(
        Finding(
            "rounded",
            values,
            f"Rounding the weights brings back so many points of first choice{null} (95 % over"
            f" passages) – {'; '.join(said)}.{undone}",
            unit="points of first choice",
            interval=spans,
        )
    )


def _sampled(result: Result) -> None:
    table = result.tables["sampling"]
    names = [*([c.ORIGINAL] if c.ORIGINAL in set(table["model"]) else []), *v.audited(result)]
    found = {}
    for name in names:
        own = table[table["model"] == name]
        found[name] = int((own["queries"] <= _QUERIES).sum())
    n = int(table.groupby("model")["passage"].nunique().max())
    said = ", ".join(f"{name} {many}" for name, many in found.items())
    result.add(
        Finding(
            "sampled",
            {name: float(many) for name, many in found.items()},
            f"Within {_QUERIES:,} samples at temperature 1 a passage comes out word for word with"
            f" probability one half, of {counted(n, 'passage')}: {said}.",
            unit="passages",
        )
    )


_QUERIES = 10_000


def _inside(result: Result) -> None:
    """The layer at which the forgotten tokens are nearest, beside the reference."""
    table = result.tables["lens"]
    best = table.groupby(["model", "layer"])["first_choice"].mean().reset_index()
    reference = v.reference_of(result)
    said, values = [], {}
    for name in v.audited(result):
        own = best[best["model"] == name].set_index("layer")["first_choice"]
        if reference is not None:
            theirs = best[best["model"] == reference].set_index("layer")["first_choice"]
            own = own - theirs.reindex(own.index)
        at = int(own.idxmax())
        values[name] = float(at)
        said.append(f"{name} layer {at} ({100 * own[at]:+.0f} points, last layer"
                    f" {100 * own.iloc[-1]:+.0f})".replace("-", "−"))  # fmt: skip
    null = "more than in the reference" if reference else "at all"
    if not np.isnan(list(values.values())).all():
        result.add(
            Finding(
                "inside",
                values,
                f"Read out by the logit lens, the forgotten tokens are first choice most"
                f" ({null}) at: {', '.join(said)}.",
                unit="layer",
            )
        )
