"""What the part `items` looks like."""

from analyses.weights.memorized_or_understood import items_schema
from analyses.weights.memorized_or_understood import items_selections as sel
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_HUES = {
    "this model": colour.MEMORY, "clean model": colour.CONTEXT, "untrained twin": colour.OTHER,
    "by chance": colour.FUNCTION,
}  # fmt: skip
_LETTERS = {
    "chosen": ("chosen", colour.MEMORY), "same": ("chosen, all options the same", colour.FUNCTION),
    "right": ("right", colour.CONTEXT),
}  # fmt: skip


def _one(run: Result, pick: v.Pick) -> list[v.Item]:
    return [draw.paragraph(sel.item_in_words(run, pick)), v.Table(sel.versions(run, pick), "")]


VIEWS = [
    v.View("Items", needs="item_rates", otherwise="the part `items` was not run", parts=[
        v.finding("items", "item_variants", "items_contaminated", "item_nulls"),
        v.row(
            v.chart("intervals", sel.rates, "version", "model", _HUES, zero=False,
                    unit="items (%)", title="Answered rightly, by version"),
            v.chart("intervals", sel.families, "family", "version", zero=False, unit="items (%)",
                    title="The same by family"),
            widths=(460, 460),
        ),
        v.says(items_schema.VERSIONS, small=True),
        v.knob("prompt", "Item", sel.items, width=460), v.on("prompt", _one),
        v.table("item_limem"), v.table("item_rates"), v.table("items_told_apart"),
        v.table("items", "All versions"),
    ], first={"prompt": sel.first_item}),
    v.View("Shortcuts", needs="shortcuts", otherwise="the part `items` was not run", parts=[
        v.finding("shortcuts", "letters"),
        v.row(
            v.chart("intervals", sel.shortcuts, "shown", "of", _HUES, zero=False,
                    unit="items (%)", title="Answered rightly, by what is shown"),
            v.chart("matrix", sel.letters, "letter", "of", "share", unit="%",
                    title="Letters, in percent"),
            widths=(460, 460),
        ),
        v.says(items_schema.SHORTCUTS, small=True),
        v.table("shortcuts"), v.table("letters"),
    ]),
]  # fmt: skip
