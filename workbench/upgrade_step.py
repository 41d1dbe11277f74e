"""One step of `run_upgrades`: what a format of an analysis calls otherwise than the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Names = Mapping[str, str]


@dataclass(frozen=True)
class Upgrade:
    """From one format of an analysis's runs to the next: old name to new name throughout.

    An old name that ends in * stands for all that begin so, and keeps what follows: `{"mixed_*":
    "shuffled_*"}` makes `shuffled_L6` of `mixed_L6`.

    Args:
        columns: by table (its new name).
        values: what stands in a column of texts, by table and column (their new names).
        dims: of every array that has them.
        labels: what stands along an axis, by its new name.
        keys: names of a finding's numbers, by finding (its new name).
        param_values: what a parameter may be, by parameter (its new name).
    """

    tables: Names = field(default_factory=dict)
    columns: Mapping[str, Names] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Names]] = field(default_factory=dict)
    arrays: Names = field(default_factory=dict)
    dims: Names = field(default_factory=dict)
    labels: Mapping[str, Names] = field(default_factory=dict)
    findings: Names = field(default_factory=dict)
    keys: Mapping[str, Names] = field(default_factory=dict)
    params: Names = field(default_factory=dict)
    param_values: Mapping[str, Names] = field(default_factory=dict)


def new_name(name: str, names: Names) -> str:
    """The name in the next format; its own where it stays."""
    if name in names:
        return names[name]
    for old, new in names.items():
        if old.endswith("*") and name.startswith(old[:-1]):
            return new[:-1] + name[len(old) - 1 :]
    return name


CLAIM_COLUMNS = {"in the paper": "paper", "here": "measured", "how sure": "uncertainty"}
VERDICTS = {
    "holds": "replicates",
    "comes out again": "replicates",
    "holds in part": "in part",
    "does not hold": "does not replicate",
    "does not come out": "does not replicate",
}
CLAIM_COUNTS = {
    "hold": "replicates",
    "fail": "does_not_replicate",
    "open": "cannot_be_told",
}
