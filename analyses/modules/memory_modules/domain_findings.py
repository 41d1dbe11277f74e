"""What a run says of domains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.modules.memory_modules.constants import OF_DOMAIN, RANDOM_SLOT, SOME_SLOT, WHOLE
from workbench.result import Finding
from workbench.wording import listed, percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def add_domains(result: Result) -> None:
    """How well the gate tells domains apart, and what is lost without a domain's slot."""
    told = result.tables["domain_told"]
    words = [
        f"{row['domain']} by {row['slot']} with an AUC of {row['auc']:.2f} (95 %: {row['low']:.2f}"
        f" to {row['high']:.2f})"
        for _, row in told.iterrows()
    ]
    apart = float(told["low"].min()) > 0.5
    says = (
        f"The gate {'tells' if apart else 'does not tell'} {listed(list(told['domain']))} apart:"
        f" {listed(words)}; 0.5 is a guess. Counted are {int(told['n'].iloc[0])} texts that did"
        " not choose these."
    )
    values = {str(row["domain"]): float(row["auc"]) for _, row in told.iterrows()}
    spread = {
        str(row["domain"]): (float(row["low"]), float(row["high"])) for _, row in told.iterrows()
    }
    result.add(Finding("domains", values, says, unit="AUC", interval=spread))
    table = result.tables["domain_masked"]
    found = {str(name): _without(table, str(name)) for name in told["domain"]}
    says = " ".join(
        f"Without {slot}, {percent(one['own'])} of the answers of {domain} are left"
        f" ({percent(one['before'])} as it is), of all others {percent(one['others'])}."
        for (domain, one), slot in zip(found.items(), told["slot"], strict=True)
    )
    lot = table[table["kind"].isin([RANDOM_SLOT, SOME_SLOT])]
    if len(lot):
        says += f" Without any other one, {percent(float(lot['right'].mean()))} are, on average."
    values = {
        f"{domain}_{side}": one[side] for domain, one in found.items() for side in ("own", "others")
    }
    result.add(Finding("domain_slots", values, says, unit="share of the answer tokens"))


def _without(table: pd.DataFrame, domain: str) -> dict[str, float]:
    """Right answers of a domain's texts and of all others, as it is and without its slot."""
    whole = table[(table["kind"] == WHOLE) & (table["domain"] == domain)]
    mine = table[table["kind"] == OF_DOMAIN.format(domain)]
    own = mine["domain"] == domain
    return {
        "before": float(whole["right"].iloc[0]),
        "own": float(mine.loc[own, "right"].iloc[0]),
        "others": float(mine.loc[~own, "right"].mean()),
    }
