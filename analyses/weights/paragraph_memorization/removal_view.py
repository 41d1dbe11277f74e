"""The Removal tab: what unlearning and rewriting did to the passage, to others, and to
everything else; changes to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.weights.paragraph_memorization import weight_edits
from analyses.weights.paragraph_memorization.views import AGAIN, MASKS
from workbench import draw
from workbench.draw.view import Table

if TYPE_CHECKING:
    from workbench.result import Result

_AIMS = {"unlearn": "unlearned", "rewrite": "rewritten"}


def still(result: Result) -> list[Any]:
    return _parts(result, _pictures(result))


def _aims(result: Result) -> list[str]:
    """What was done in this run."""
    return [
        aim
        for aim in _AIMS
        if "removals" in result.tables and (result.tables["removals"]["aim"] == aim).any()
    ]


def _pictures(result: Result) -> list[Any]:
    """Two for each aim: after, and step by step."""
    found: list[Any] = []
    for aim in _aims(result):
        table, curves = (
            result.tables[name][result.tables[name]["aim"] == aim]
            for name in ("removals", "curves")
        )
        found += [_after(result, table, aim), _steps(curves, aim)]
    return found


def _parts(result: Result, pictures: Sequence[Any]) -> list[Any]:
    if "removals" not in result.tables:
        return [draw.note("Nothing was removed.", AGAIN)]
    parts: list[Any] = []
    for n, aim in enumerate(_aims(result)):
        if _AIMS[aim] in result.findings:
            parts.append(draw.says(result.findings[_AIMS[aim]].says))
        parts += pictures[2 * n : 2 * n + 2]
    parts.append(
        draw.says(
            "Gradient, against others: the thousandth of the weights whose gradient for the passage"
            " most exceeds that for passages that are to stay. Gradient alone: the largest, as in"
            " the paper. Random weights: as many in each matrix, shown after as many steps as the"
            " first took. All weights: with steps of the same length in all.",
            small=True,
        )
    )
    rewritten = result.tables.get("rewritten")
    if rewritten is not None and len(rewritten):
        names = result.tables["passages"].set_index("passage")
        texts = Markup("").join(
            Markup('<details class="wb-fold"><summary>{}</summary>{}{}{}{}</details>').format(
                names.loc[row.passage, "name"],
                draw.says("From", small=True),
                Markup('<p class="wb-said-text">{}</p>').format(names.loc[row.passage, "suffix"]),
                draw.says("to", small=True),
                Markup('<p class="wb-said-text">{}</p>').format(row.instead),
            )
            for row in rewritten.itertuples()
        )
        parts += [
            draw.says(
                "What the passages are rewritten to: what the model says when one token of the"
                " prefix is replaced."
            ),
            texts,
        ]
    return [*parts, _keep(result), Table(result.tables["removals"], "Every update")]


def _after(result: Result, mine: Any, aim: str) -> Any:
    """One dot per passage and mask: what is still said of it afterwards."""
    length = float(result.params.get("suffix", 0) or mine["match_before"].max())
    lines, rows = {}, []
    import pandas as pd

    for mask, (words, _) in MASKS.items():
        part = mine[mine["mask"] == mask]
        column = "match_same_steps" if mask == "random" else "match"
        rows.append(
            pd.DataFrame({"share": part[column] / length, "line": words, "heads": part["name"]})
        )
        if part["others_kept"].notna().any():
            lines[words] = {"other memorized passages, mean": float(part["others_kept"].mean())}
    return draw.dots(
        pd.concat(rows),
        "share",
        "line",
        title=(
            f"What is still said of each {'unlearned' if aim == 'unlearn' else 'rewritten'} passage"
        ),
        xlabel="share of the suffix (%)",
        label="passages",
        lines=lines,
    )


def _steps(curves: Any, aim: str) -> Any:
    """Leading tokens of the passage after each step, mean over passages; where one has stopped
    it stays as it was.
    """
    wide = curves.pivot_table(index="step", columns=["mask", "passage"], values="match").ffill()
    mean = wide.T.groupby(level="mask").mean().T.reset_index()
    series = {mask: MASKS[mask] for mask in MASKS if mask in mean}
    title = (
        "Leading tokens said while the passage is"
        f" {'unlearned' if aim == 'unlearn' else 'rewritten'} (mean)"
    )
    return draw.lines(mean, "step", series, title=title, xlabel="step", ylabel="tokens", height=280)


def _keep(result: Result) -> Markup:
    known = weight_edits.names(result)
    if not known:
        return Markup("")
    first = next(iter(known))
    where = result.path.name if result.path is not None else "RUN"
    size = weight_edits.delta(result, first).size
    return draw.says(
        f"Each change of the first kind is kept in this run ({size:,} numbers): {', '.join(known)}."
        f" As a file: workbench changes {where} {first} -o {first}.safetensors; the model with it"
        f" opens as {result.provenance.model.get('source', 'MODEL')}+{first}.safetensors."
    )


def live(result: Result, pictures: Sequence[Any]) -> Any:
    """As still, with a button that keeps a change as a file."""
    import io
    import tempfile
    from pathlib import Path

    from workbench.draw.view import STYLES, live_part, need_panel, wrapping

    pn = need_panel()
    parts = [live_part(part) for part in _parts(result, pictures)]
    known = weight_edits.names(result)
    if known:
        choose = pn.widgets.Select(
            name="Change", options=list(known), width=180, stylesheets=[STYLES], margin=(2, 0, 6, 0)
        )

        def file() -> io.BytesIO:
            with tempfile.TemporaryDirectory() as folder:
                return io.BytesIO(
                    weight_edits.delta(result, choose.value)
                    .save(Path(folder) / "change.safetensors")
                    .read_bytes()
                )

        button = pn.widgets.FileDownload(
            callback=file,
            filename=f"{choose.value}.safetensors",
            label="Keep this change as a file",
            width=240,
            stylesheets=[STYLES],
            margin=(20, 0, 6, 0),
        )
        choose.param.watch(
            lambda event: button.param.update(filename=f"{event.new}.safetensors"), "value"
        )
        parts.insert(len(parts) - 1, wrapping(choose, button, gap="0 12px"))
    return pn.Column(*parts, sizing_mode="stretch_width", min_width=0)
