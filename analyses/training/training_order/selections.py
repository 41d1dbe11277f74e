"""What is looked at of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.training.training_order import constants as c

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick

OF = {"text of the blocks": c.TEXT, "planted sentences": c.ITEM}
_WORDS = {kind: words for words, kind in OF.items()}


def by(run: Result) -> dict[str, str]:
    """Predictors in nats, the estimate first."""
    told = [*c.ONE_RUN[:-1], c.OTHERS, c.MIXED]
    return {name: name for name in told if name in run.tables["changes"]}


def which(run: Result) -> dict[str, int]:
    """Orders to choose from; 0 is all."""
    table = run.tables["orders"]
    each = zip(table["order"], table["made"], strict=True)
    return {"all orders": 0} | {f"{number}: {made}": int(number) for number, made in each}


def points(run: Result, pick: Pick) -> pd.DataFrame:
    """The chosen changes: columns predicted, real, says."""
    table = run.tables["changes"]
    rows = table[table["of"] == pick["of"]]
    if pick["which"]:
        rows = rows[rows["order"] == pick["which"]]
    says = [
        f"block {block} at position {position}, order {order}"
        for block, position, order in zip(
            rows["block"], rows["position"], rows["order"], strict=True
        )
    ]
    return rows.assign(predicted=rows[pick["by"]], says=says)[["predicted", "real", "says"]]


def order_in_words(run: Result, pick: Pick) -> str:
    """The chosen order and how well it is told."""
    if not pick["which"]:
        return "Every block under every order."
    row = run.tables["orders"].set_index("order").loc[pick["which"]]
    said = (
        f"Read as {row['reads']}; {row['distance']:.0%} of the pairs the other way round. The loss"
        f" of a block changed by {row['changed']:.3f} nats in the mean; the estimate errs by"
        f" {row['error']:.3f} (rank correlation {row['r']:.2f})."
    )
    return said.replace("-", "−")


def predictors(run: Result) -> pd.DataFrame:
    """Rank correlations as means with intervals."""
    table = run.tables["predictors"]
    rows = table[table["r"].notna()]
    return rows.assign(mean=rows["r"], what=[_WORDS[kind] for kind in rows["of"]])


def errors(run: Result) -> pd.DataFrame:
    """By distance, for curves: what the loss changed by, and what two estimates miss."""
    import pandas as pd

    table = run.tables["orders"]
    means = table.groupby("distance")[["changed", "error", "error_zeroth"]].mean().reset_index()
    words = {
        "changed": "real change",
        "error": f"error, {c.FIRST}",
        "error_zeroth": f"error, {c.ZEROTH}",
    }
    parts = [means.assign(nats=means[name], what=said) for name, said in words.items()]
    return pd.concat(parts, ignore_index=True)[["distance", "nats", "what"]]


def positions(run: Result) -> pd.DataFrame:
    """Memorization by position, by kind in words."""
    table = run.tables["positions"]
    return table.assign(what=[_WORDS[kind] for kind in table["of"]])


def recited(run: Result) -> pd.DataFrame:
    """What comes out of the planted sentences, in percent."""
    table = run.tables["positions"]
    rows = table[table["of"] == c.ITEM]
    return rows.assign(share=100 * rows["right"])
