"""The contract on every family, as a table: which sites each has, and how exactly they recompute
the model's own values.

python -m benchmarks.architectures docs/reference/architectures.md
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import workbench as wb
from hooks.invariants import InvariantCheck, contract
from hooks.model import InstrumentedModel
from hooks.sites import SITES
from tests.helpers import families
from tests.helpers.tiny import tiny_tokenizer
from workbench.errors import BadInput
from workbench.runs import versions

COLUMNS = {
    "stream": ("resid_pre", "resid_mid", "resid_post"),
    "parts": ("attn_out", "mixer_out", "mlp_out"),
    "norms": ("ln1", "ln1_scale", "ln2", "ln2_scale", "ln_final", "ln_final_scale"),
    "q, k": ("q", "k"),
    "rotated q, k; v": ("rot_q", "rot_k", "v"),
    "scores, pattern": ("attn_scores", "pattern"),
    "z, result": ("z", "result"),
    "neurons": ("pre", "pre_linear", "post"),
    "experts": ("router_scores", "expert_weights", "expert_indices"),
    "memory": ("state", "conv_state", "state_decay", "state_write"),
    "kernel": ("state_q", "state_k", "state_v", "state_beta", "state_out"),
    "logits": ("logits",),
}
HEAD = """# Architectures

Made by `python -m benchmarks.architectures docs/reference/architectures.md`; do not edit. Every
family of `transformers` {version} below is built from its own configuration with small sizes and
random weights (`tests/helpers/families.py`), and passes the contract of `hooks/invariants/`, which
is run in the tests. A family that is not listed is handled the same way: parts are found by
watching a forward pass of five tokens, not by a table of names, and what satisfies no sum is not
offered. Check your own model with

```python
import workbench as wb
from hooks.invariants import contract

model = wb.load("smollm2-135m")
print(model.sites())
assert all(line.holds() for line in contract(model))
```

## What is checked

| identity | what it says | families | largest relative error |
| --- | --- | --- | --- |
"""
GATED = (
    "`z` is what the output matrix reads, after the family's own gate or norm: pattern times values"
    " is not it"
)
TABLE = """
Zamba 2's and Nemotron-H's *steps* differ by more than rounding because their own two code paths do:
the parallel kernel clamps the time step, the step by step one does not.

## Which sites each family has

● in every layer that has such a part, ◐ only some of the group's sites, – none; notes below.
`resid_mid` is missing wherever attention and MLP work side by side. The full names stand in
`model.sites()`.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.parse_args().file.write_text(document(), encoding="utf-8")


def document() -> str:
    """The whole page."""
    rows, notes, checked = [], defaultdict(list), defaultdict(list)
    for name in families.FAMILIES:
        model = wb.load((families.module(name), tiny_tokenizer()))
        for line in contract(model):
            checked[line.name].append(line)
        rows.append(_row(name, model))
        for note in _notes(model):
            notes[note].append(name)
    refused = []
    for name, (sentence, why) in families.OUTSIDE.items():
        try:
            wb.load((families.module(name), tiny_tokenizer())).sites()
        except BadInput:
            refused.append(
                f"- {name} is refused when a site is asked for, since it {sentence}: {why}."
            )
    for sentence in dict.fromkeys(families.NOT_SWEPT.values()):
        names = ", ".join(name for name, why in families.NOT_SWEPT.items() if why == sentence)
        refused.append(f"- sweeps are refused, since the family {sentence}: {names}.")
    refused += [
        f"- {name} is not built small here: {why}." for name, why in families.UNBUILT.items()
    ]
    head = "| family | " + " | ".join(COLUMNS) + " |\n|" + " --- |" * (len(COLUMNS) + 1) + "\n"
    identities = "\n".join(_identity(name, lines) for name, lines in checked.items())
    text = (
        HEAD.format(version=versions()["transformers"])
        + identities
        + "\n"
        + TABLE
        + head
        + "\n".join(rows)
    )
    missing = [
        f"- {f'no {sites}: ' if sites else ''}{why} – {', '.join(names)}"
        for (sites, why), names in notes.items()
    ]
    return text + "\n\n## What does not work, and why\n\n" + "\n".join([*missing, *refused]) + "\n"


def _identity(name: str, lines: list[InvariantCheck]) -> str:
    error = max(line.error for line in lines)
    return f"| {name} | {lines[0].says} | {len(lines)} | {'0' if error == 0 else f'{error:.0e}'} |"


def _row(name: str, model: InstrumentedModel) -> str:
    marks = []
    for sites in COLUMNS.values():
        have = [s for s in sites if s in model.sites]
        # Nobody misses the gate of an MLP without one, or the mixer of a model without one.
        expected = [
            s
            for s in sites
            if s in model.sites or any(s in b.unavailable_reason for b in model.layout.blocks)
        ]
        marks.append("–" if not have else "●" if len(have) == len(expected) else "◐")
    return f"| {name} | " + " | ".join(marks) + " |"


def _notes(model: InstrumentedModel) -> list[tuple[str, str]]:
    """(sites that are missing, why) for every reason."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for block in model.layout.blocks:
        for site, why in block.unavailable_reason.items():
            if site not in model.sites and site in SITES and site not in by_reason[why]:
                by_reason[why].append(site)
    found = [
        (", ".join(f"`{s}`" for s in sites), why)
        for why, sites in by_reason.items()
        if sites and sites != ["resid_mid"]
    ]
    if any(b.gated for b in model.layout.blocks):
        found.append(("", GATED))
    return found


if __name__ == "__main__":
    main()
