"""An evaluation card as Markdown, for a model's own page, or as JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.result import Result


def as_json(result: Result) -> str:
    """The card's tables and the model, as JSON."""
    tables = {
        name: json.loads(table.to_json(orient="records")) for name, table in result.tables.items()
    }
    whole = {"model": result.provenance.model, "made": result.provenance.started, **tables}
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def as_markdown(result: Result) -> str:
    """The card as a table."""
    model = result.provenance.model
    lines = [
        f"# Memory of {_cell(model.get('name', 'a model'))}",
        "",
        f"{model.get('n_params', 0):,} parameters, {_cell(model.get('dtype', ''))}, weights"
        f" `{_cell(model.get('weight_hash', ''))}`, {result.provenance.started[:10]}.",
        "",
        "| question | what was found | 95 % interval | where there is nothing to find | run |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [_row(row) for row in result.tables["card"].to_dict("records")]
    lines += [
        "",
        "What stands in *italics* is not told from chance (Holm over the whole card). There is no"
        " total score; live sources are not measured.",
        "",
        "| memory | where | lasts | written and read | who can change it |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {' | '.join(_cell(value) for value in row.values())} |"
        for row in result.tables["memories"].to_dict("records")
    ]
    return "\n".join(lines) + "\n"


def _row(row: dict[str, Any]) -> str:
    if row["state"] != "measured":
        takes = f", takes {row['takes']}" if row["takes"] else ""
        says = f"{row['state']}{takes}. {row['says']}".strip()
        return f"| {_cell(row['asks'])} | {_cell(says)} | | | |"
    says = _cell(row["says"])
    says = f"*{says}*" if row["told"] == "as by chance" else says
    span = "" if math.isnan(row["low"]) else f"{row['low']:.3g} to {row['high']:.3g} {row['unit']}"
    null = "" if math.isnan(row["null"]) else f"{row['null']:.3g} ({row['beside']})"
    cells = [_cell(row["asks"]), says, _cell(span), _cell(null), f"`{_cell(row['run'])}`"]
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    """Text that cannot end a cell, or become anything but text."""
    plain = " ".join(str(value).split())
    for sign in ("\\", "|", "<", "*", "_", "`", "["):
        plain = plain.replace(sign, f"\\{sign}")
    return plain
