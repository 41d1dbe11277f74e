"""Where a run comes from and how to make it again, as text and HTML: used by the Explorer, the
report and the notebook.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ui.runs.numbers import titles
from ui.web.style import STATIC
from workbench import account, commands, cost, registry
from workbench.result import Finding, Result
from workbench.run_checksum import checksum
from workbench.run_titles import cut
from workbench.wording import percent, percent_span

CSS = (STATIC / "run.css").read_text(encoding="utf-8")

MOST_FINDINGS = 200
"""On a page or on paper; nobody reads more of them as cards."""

# Copies what stands beside the button; where the browser forbids it, the text is selected for the
# user to copy.
_COPY = (
    "(async b=>{const t=b.parentNode.querySelector('pre');try{await"
    " navigator.clipboard.writeText(t.textContent);b.textContent='Copied'}"
    "catch(e){getSelection().selectAllChildren(t);b.textContent='Press"
    " Ctrl+C'}setTimeout(()=>b.textContent='Copy',1600)})(this)"
)


def python_lines(result: Result) -> str:
    """The same in Python, and how to open this run."""
    if result.analysis == registry.GRID:
        return _python_of_grid(result)
    model = result.provenance.model
    name = str(model.get("source") or model.get("name") or "")
    values = commands.changed_params(result)
    lines = [
        "import workbench as wb",
        "",
        f"model = wb.load({name!r})" if name else "model = wb.load()",
    ]
    lines.append(
        f"result = wb.run({result.analysis!r}, model, {values!r}, seed={result.provenance.seed!r})"
    )
    if result.path is not None:
        lines += [
            "",
            "# or open this very run, without the model:",
            f"result = wb.open_run({result.path.name!r})",
        ]
    return "\n".join(lines)


def _python_of_grid(result: Result) -> str:
    """The same grid in Python; where it lies in that folder, it goes on."""
    asked = result.params
    folder = "grid" if result.path is None else result.path.name
    lines = [
        "import workbench as wb",
        "",
        f"grid = wb.run_grid({asked.get('analysis')!r}, {asked.get('models')!r},",
        f"    {asked.get('values')!r}, fixed={asked.get('fixed')!r}, out={folder!r})",
        "grid.table  # one row per run",
    ]
    return "\n".join(lines)


def code_html(text: str, label: str) -> Markup:
    """Code with a button that copies it."""
    return Markup(
        '<div class="wb-code"><pre>{}</pre><button type="button" aria-label="Copy {}"'
        ' onclick="{}">Copy</button></div>'
    ).format(text, label, _COPY)


def facts_html(pairs: Mapping[str, Any]) -> Markup:
    """Names and values, one pair a line."""
    rows = Markup("").join(
        Markup("<dt>{}</dt><dd>{}</dd>").format(k.replace("_", " "), readable(v))
        for k, v in pairs.items()
    )
    return Markup('<dl class="wb-facts">{}</dl>').format(rows)


def readable(value: Any) -> str:
    """A parameter as a person reads it."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ") if abs(value) >= 10_000 else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(readable(v) for v in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {readable(v)}" for k, v in value.items()) or "–"
    return str(value)


def model_html(result: Result) -> Markup:
    """The model's card."""
    words = {
        "name": "model",
        "architecture": "architecture",
        "n_layers": "layers",
        "n_heads": "heads",
        "n_kv_heads": "key-value heads",
        "d_model": "width",
        "d_vocab": "vocabulary",
        "n_params": "parameters",
        "dtype": "dtype",
        "quantized_from": "de-quantized from",
        "adapter": "adapter",
        "device": "device",
        "weight_hash": "weight hash",
    }
    model = result.provenance.model
    shown = {word: model[key] for key, word in words.items() if model.get(key) not in (None, "")}
    if "weight hash" in shown:
        shown["weight hash"] = str(shown["weight hash"])[:16]
    return (
        facts_html(shown) if shown else Markup("<p>The run does not say which model it is of.</p>")
    )


def provenance_html(result: Result, *, checked: bool = False) -> Markup:
    """When, how long, on what, with which versions.

    Args:
        checked: with the SHA-256 of its files, and the command that checks it.
    """
    about = result.provenance
    shown: dict[str, Any] = {
        "started": about.started.replace("T", " ").replace("+00:00", " UTC"),
        "took": duration(about.duration),
    }
    if (expected := account.estimated(result)) is not None:
        shown["expected"] = cost.in_words(expected)
    if (peak := account.peak_bytes(result)) is not None:
        shown["memory"] = f"{peak / 2**20:,.0f} MB beyond the weights, at most"
    if left_out := account.left_out(result):
        shown["not run"] = "; ".join(part.says for part in left_out)
    shown |= {"seed": about.seed, "machine": about.machine, **about.notes}
    shown["versions"] = ", ".join(f"{name} {version}" for name, version in about.versions.items())
    if checked and result.path is not None and (result.path / "result.json").is_file():
        shown["SHA-256 of the run"] = total = checksum(result.path)
        shown["to check it"] = f"workbench runs checksum {result.path.resolve().name} {total}"
    return facts_html({k: v for k, v in shown.items() if v not in (None, "")})


def left_out_html(result: Result) -> Markup:
    """The parts that this run does not have, what each would take, and the command for it."""
    rows = Markup("").join(
        Markup("<li>{}{}</li>").format(
            part.says,
            "" if part.reason else code_html(commands.command_line(result, part.name), "command"),
        )
        for part in account.left_out(result)
    )
    return Markup('<ul class="wb-facts">{}</ul>').format(rows) if rows else Markup("")


def one_line(result: Result) -> str:
    """smollm2-135m · float32 · seed 0 · 3 min 1 s · 28 Nov 2026"""
    about, model = result.provenance, result.provenance.model
    dtype = str(model.get("dtype") or "").removeprefix("torch.")
    try:
        day = dt.datetime.fromisoformat(about.started).astimezone().strftime("%-d %b %Y")
    except (ValueError, OverflowError):  # no time, or one that this zone has no day for
        day = about.started[:40]
    seed = f"seed {about.seed}" if about.seed is not None else ""
    took = duration(about.duration) if about.duration else ""
    return " · ".join(
        filter(None, [cut(str(model.get("name") or ""), 100), dtype, seed, took, day])
    )


def duration(seconds: float) -> str:
    """121.4 -> "2 min 1 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def findings_html(result: Result) -> Markup:
    """Each finding: its numbers, large, and its sentence."""
    if not result.findings:
        return Markup('<p class="wb-says">This run has no findings{}.</p>').format(
            ": it was stopped before the first one" if result.partial else ""
        )
    shown, named = list(result.findings.values())[:MOST_FINDINGS], titles(result)
    more = (
        Markup(
            '<p class="wb-says wb-small">The first {} of {:,} findings; the tab All numbers of the'
            " Explorer and the run's result.json have all.</p>"
        ).format(len(shown), len(result.findings))
        if len(shown) < len(result.findings)
        else ""
    )
    return Markup('<ul class="wb-findings">{}</ul>{}').format(
        Markup("").join(_finding(f, named[f.name]) for f in shown), more
    )


def _finding(finding: Finding, title: str) -> Markup:
    spans = (
        finding.interval
        if isinstance(finding.interval, Mapping)
        else {"value": finding.interval}
        if finding.interval
        else {}
    )
    numbers = [
        Markup('<div class="wb-number {}"><b>{}</b><span>{}</span></div>').format(
            name if name in {"memory", "context"} else "",
            number(value, name, finding.unit),
            _under(name, spans.get(name), finding.unit),
        )
        for name, value in finding.values.items()
        if name != "n"
    ]
    n = finding.values.get("n")
    size = f", n = {n:g}" if n is not None else ""
    first, rest = first_sentence(finding.says)
    box = Markup('<div class="wb-numbers">{}</div>')
    more = Markup("")
    if rest or len(numbers) > _NUMBERS:
        others = (
            box.format(Markup("").join(numbers[_NUMBERS:]))
            if len(numbers) > _NUMBERS
            else Markup("")
        )
        more = Markup("<details><summary>more</summary><p>{}</p>{}</details>").format(rest, others)
    return Markup('<li class="wb-finding"><h3>{}</h3>{}<p>{}</p>{}</li>').format(
        title + size, box.format(Markup("").join(numbers[:_NUMBERS])), first, more
    )


_NUMBERS, _SENTENCE = 6, 240
"""A card shows so many numbers at once, and of a text that is longer than so many characters the
first sentence.
"""


def first_sentence(text: str) -> tuple[str, str]:
    """("The first one.", "The others.") of a long text; all of a short one."""
    if len(text) <= _SENTENCE:
        return text, ""
    end = re.search(r"(?<=[a-z0-9)%][.;]) ", text[40:])
    return (text, "") if end is None else (text[: 40 + end.start()], text[40 + end.end() :])


def _under(name: str, span: tuple[float, float] | None, unit: str) -> Markup:
    word = Markup.escape(unit if name == "value" else name.replace("_", " "))
    if not span:
        return word
    if "fraction" in unit:
        return word + Markup("<br>{}").format(percent_span(*span))
    low, high = (number(end, name, unit) for end in span)
    return word + Markup("<br>{}–{}").format(low, high)


def number(value: float | None, name: str, unit: str) -> str:
    """A finding's number: fractions as percent, the rest to three digits."""
    if value is None or value != value:
        return "–"
    if "fraction" in unit and 0 <= value <= 1 and name != "n":
        return percent(value)
    if unit.startswith("share") and name == "rate":
        return percent(value)
    return f"{value:g}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:.3g}"
