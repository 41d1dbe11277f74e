"""What the part `items` looks like."""

from analyses.weights.memorized_or_understood import items_schema
from analyses.weights.memorized_or_understood import items_selections as sel
from workbench import draw
from workbench import views as v
from workbench.result import Result


def _one(run: Result, pick: v.Pick) -> list[v.Item]:
    return [draw.paragraph(sel.item_in_words(run, pick)), v.Table(sel.versions(run, pick), "")]


VIEWS = [
    v.View("Items", needs="item_rates", otherwise="the part `items` was not run", parts=[
        v.finding("items", "item_variants", "items_contaminated", "item_nulls"),
        v.row(
            v.chart("intervals", sel.rates, "version", "model", hues=sel.hues_of_rates, zero=False,
                    unit="items (%)", title="Answered rightly, by version"),
            v.chart("intervals", sel.families, "family", "version", zero=False, unit="items (%)",
                    title="The same by family"),
            widths=(420, 420),
        ),
        v.says(items_schema.VERSIONS, small=True),
        v.knob("prompt", "Item", sel.items, width=420), v.on("prompt", _one),
        v.table("item_limem", "Items against their versions"), v.table("item_rates", "Rates"),
        v.table("items_told_apart", "Told from a clean model"),
        v.table("items", "All versions"),
    ], first={"prompt": sel.first_item}),
    v.View("Shortcuts", needs="shortcuts", otherwise="the part `items` was not run", parts=[
        v.finding("shortcuts", "letters"),
        v.row(
            v.chart("intervals", sel.shortcuts, "shown", "of", sel.SHORTCUT_HUES, zero=False,
                    unit="items (%)", title="Answered rightly, by what is shown"),
            v.chart("matrix", sel.letters, "letter", "share of", "share", unit="%",
                    title="The letters it likes"),
            widths=(420, 420),
        ),
        v.says(items_schema.SHORTCUTS, small=True),
        v.table("shortcuts", "By what is shown"), v.table("letters", "Letters"),
    ]),
]  # fmt: skip
