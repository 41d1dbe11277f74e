"""What a run looks like."""

from __future__ import annotations

from analyses.claims import view as claims_view
from analyses.modules.memory_modules import claims, schema
from analyses.modules.memory_modules import selections as sel
from analyses.modules.memory_modules.constants import ARMS, OTHERS, OWN, RANDOM
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.draw.slot_raster import slot_raster
from workbench.result import Result

_HUES = {OWN: colour.MEMORY, OTHERS: colour.FUNCTION, RANDOM: colour.OTHER}
_WITH = {
    "with_memory": ("with the memory", colour.MEMORY),
    "without": ("without it", colour.OTHER),
}
_FETCHED = {
    "passage": ("nearest by cosine", colour.MEMORY),
    "random": ("by lot", colour.OTHER),
}
_MASKED = "masked slots"
_NO_PART = "this part was not run, or the model cannot have it"


def _raster(run: Result, pick: v.Pick) -> v.Item:
    events, tokens = sel.raster(run, pick)
    return slot_raster(events, tokens, title=f"Reads of {pick['memory']}, token by token")


def _slots(run: Result, pick: v.Pick) -> list[v.Item]:
    row = run.tables["facts"].iloc[sel.fact(run, pick)]
    table = run.tables["masked"]
    mine = table[table["fact"] == sel.fact(run, pick)]
    held = mine.loc[mine["own"] == 1, "masked"].max()
    lost = mine.loc[mine["own"] == 0, "masked"].min()
    words = f"“{row['prompt']}” goes on with {row['answer']}."
    if lost == lost:
        words += f" It is lost with {lost:.0f} of its slots masked."
    elif held == held:
        words += f" It is still answered with {held:.0f} of its slots masked."
    return [draw.paragraph(words), v.Table(sel.slots(run, pick), "Its slots", of="slots")]


def _curve(table: str, title: str) -> v.ViewPart:
    return v.chart(
        "curves", table, "slots", "recall", "what", interval=("low", "high"), percent=True,
        hues=_HUES, order=ARMS, scale="doublings", xlabel=_MASKED, ylabel="facts answered (%)",
        height=380, title=title,
    )  # fmt: skip


ANSWER = v.Answer(
    (
        "domains",
        "domain_slots",
        "facts",
        "twin",
        "share",
        "hits",
        "definitions",
        "updates",
        "document",
    ),
    picture=("Domains", 0),
    beside=("memory",),
    otherwise=(("Facts", 0), ("Updates", 0), ("Definitions", 0), ("Document", 0)),
)
VIEWS = [
    v.View("Facts", needs="curve", otherwise="no fact has slots of its own here",
           first={"prompt": sel.fact}, parts=[
        v.finding("memory", "facts"),
        v.says(schema.MASKING),
        _curve("curve", "What is still answered"),
        v.knob("prompt", "Fact", sel.facts, width=320),
        v.on("prompt", _slots),
        v.table("facts", "All facts", picks="prompt", by="fact"),
        v.table("curve"),
    ]),
    v.View("Raster", needs="reads", parts=[
        v.finding("memory", "written"),
        v.row(v.knob("text", "Text", sel.texts, width=320),
              v.knob("memory", "Memory", sel.memories)),
        v.on(["text", "memory"], _raster),
        v.says("Ink is a read: the darker, the more of the slot's value comes in. A ring is a"
               " write. Slots stand in the order in which they are first read; of many, those that"
               " are read most are drawn.", small=True),
        v.table("reads"),
    ]),
    v.View("Twin", needs="twins_curve", otherwise="this model has no twin without a memory", parts=[
        v.finding("twin"),
        v.says(schema.TWINS),
        _curve("twins_curve", "What the twin still answers"),
    ]),
    v.View("Usage", needs="usage", otherwise=_NO_PART, parts=[
        v.finding("usage", "one_relation"),
        v.chart("curves", sel.usage, "rank", "facts", "which", scale="powers",
                xlabel="slots, the busiest first", ylabel="facts that read it",
                hues={"slots": colour.MEMORY}, title="How many facts read a slot"),
        v.table("usage", "By memory"),
    ]),
    v.View("Values", needs="swap_rates", otherwise=_NO_PART, parts=[
        v.finding("swap", "lens"),
        v.says(schema.SWAPS),
        v.chart("labelled_bars", "swap_rates", "says", "share", per="values", said="{:.0%}",
                title="With {}"),
        v.table("swaps", "Fact by fact"),
    ]),
    v.View("Share", needs="without", otherwise=_NO_PART, parts=[
        v.finding("share"),
        v.says(schema.OFF),
        v.chart("labelled_bars", "without", "part", "recall", said="{:.0%}",
                title="Facts that are answered without it"),
        v.table("gates", "Gates, by memory and head"),
    ]),
    v.View("Definitions", needs="changes",
           otherwise="only a memory of tokens is asked for definitions", parts=[
        v.finding("hits", "definitions"),
        v.says(schema.DEFINED),
        v.chart("labelled_bars", "changes", "change", "own", said="{:.0%}",
                title="Questions that are answered"),
        v.chart("lines", "distances", "from", _WITH, xlabel="tokens back, at least",
                ylabel="share answered", title="By distance of the definition"),
        v.table("hits", "By head"),
        v.table("changes"),
    ]),
    v.View("Updates", needs="update_changes",
           otherwise="only slots that are written as text is read are given updates", parts=[
        v.finding("updates", "retention", "turnover"),
        v.says(schema.UPDATED),
        v.chart("labelled_bars", "update_changes", "change", "now", said="{:.0%}",
                title="The last value is given"),
        v.chart("lines", "retention", "from", _WITH, xlabel="updates since, at least",
                ylabel="share answered", title="By updates since the key's own"),
        v.table("update_changes"),
        v.table("turnover"),
    ]),
    v.View("Domains", needs="domain_told",
           otherwise="only experts and adapters behind a gate are asked for domains", parts=[
        v.finding("domains", "domain_slots"),
        v.says(schema.DOMAINS),
        v.chart("matrix", "domain_reads", "slot", "domain", "weight", decimals=2, top=1.0,
                title="How far the gate opens", unit="weight"),
        v.chart("matrix", "domain_masked", "masked", "domain", "right", decimals=2, top=1.0,
                title="Still right with the slot masked", unit="share of answer tokens"),
        v.table("domain_told"),
        v.table("domain_masked"),
    ]),
    v.View("Document", needs="document", otherwise=_NO_PART, parts=[
        v.finding("document"),
        v.says(schema.DOCUMENT),
        v.chart("lines", "fetched", "layer", _FETCHED, xlabel="layer",
                ylabel="share of the tokens read", title="Tokens read in the line of the fact"),
        v.chart("labelled_bars", "document", "memory", "document", per="facts", said="{:.0%}",
                title="Answered as the document says: {} facts"),
        v.table("document"),
    ]),
    claims_view(claims.CLAIMS, claims.ABOUT),
]  # fmt: skip
