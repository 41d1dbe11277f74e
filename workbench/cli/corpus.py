"""`workbench corpus index`, `workbench corpus find`, `workbench corpus show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.run import Json
from workbench.disk_space import size
from workbench.errors import Cancelled
from workbench.terminal import bar, out, plain, print_json, show_table
from workbench.wording import counted

if TYPE_CHECKING:
    from workbench.corpora import CorpusIndex
    from workbench.corpora.corpus_index import Occurrence
    from workbench.corpora.match_spans import MatchSpan

app = typer.Typer(help="Corpora: index one, and look for texts in it.", no_args_is_help=True)

Index = Annotated[Path, typer.Argument(help="The folder of an index.", show_default=False)]
_SHOWN_SKIPPED = 5  # files
_AROUND = 60  # characters shown on either side


@app.command()
def index(
    sources: Annotated[
        list[str],
        typer.Argument(
            help=(
                "Files or folders: text, .jsonl, .parquet, a data set saved to disk; or an organism"
                " such as organism/planted."
            ),
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="New folder. Default: ./corpus-NAME.", show_default=False),
    ] = None,
    field: Annotated[
        str, typer.Option(help="Field of JSON lines, or column of tables, that has the text.")
    ] = "text",
    as_json: Json = False,
) -> None:
    """Index a corpus, so that any text is found in it at once.

    Takes five times its size on disk. After a stop, the same command continues.
    """
    from workbench import corpora

    place = folder or Path(f"corpus-{Path(sources[0]).absolute().name or 'index'}")
    try:
        with bar() as progress:
            made = corpora.index(sources, place, progress, field=field)
    except Cancelled:
        raise Cancelled(
            "Stopped. The same command continues after the last finished part."
        ) from None
    if as_json:
        print_json(_card(made))
        return
    out().print(
        f"Indexed in {plain(place)}: {counted(made.documents, 'document')}, {size(made.bytes)}.",
        soft_wrap=True,
    )
    _say_skipped(made)
    out().print(f'[dim]Ask it: workbench corpus find {plain(place)} "…"[/]', soft_wrap=True)


@app.command()
def show(folder: Index, as_json: Json = False) -> None:
    """Show what an index holds, and what it was made from."""
    from workbench.corpora import open_index

    opened = open_index(folder)
    if as_json:
        print_json(_card(opened))
        return
    card = opened.manifest
    rows = [
        ("made from", ", ".join(card.sources)),
        ("made", f"{card.made.replace('T', ' ')[:16]} (UTC), version {card.version}"),
        ("documents", f"{opened.documents:,}"),
        ("text", size(opened.bytes)),
        ("shards", f"{len(card.shards):,}"),
        ("left out", counted(card.n_skipped, "file") if card.n_skipped else "nothing"),
    ]
    show_table(["corpus", str(folder)], rows)
    _say_skipped(opened)


@app.command()
def find(
    folder: Index,
    text: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    most: Annotated[int, typer.Option(min=1, max=1000, help="Places to show.")] = 10,
    as_json: Json = False,
) -> None:
    """Say where a text stands in a corpus; if it does not, which parts of it do."""
    from workbench.corpora import open_index

    opened = open_index(folder)
    count = opened.count(text)
    places = opened.find(text, most)
    parts = [] if count else opened.maximal_spans(text)
    spans = [part for part in parts if any(c.isalnum() for c in part.text)][:most]
    if as_json:
        print_json(
            {
                "count": count,
                "places": [_place(opened, one) for one in places],
                "spans": [
                    {
                        "start": s.start,
                        "stop": s.stop,
                        "text": s.text,
                        "count": s.count,
                        "rarity": s.rarity,
                    }
                    for s in spans
                ],
            }
        )
        return
    out().print(
        f"It stands in the corpus {counted(count, 'time')}."
        if count
        else "It does not stand in the corpus."
    )
    if places:
        _show_places(opened, places)
        if count > most:
            out().print(f"[dim]{most:,} of {count:,} are shown; --most shows more.[/]")
    elif spans:
        _show_spans(opened, spans)


def _show_places(opened: CorpusIndex, places: list[Occurrence]) -> None:
    rows = []
    for one in places:
        around = opened.context(one, _AROUND)
        before = "…" * (len(around.before) == _AROUND) + around.before
        after = around.after + "…" * (len(around.after) == _AROUND)
        rows.append((around.place, _line(f"{before}[{around.match}]{after}")))
    show_table(["place", "what stands there"], rows)


def _show_spans(opened: CorpusIndex, spans: list[MatchSpan]) -> None:
    rows = []
    for span in spans:
        (first,) = opened.find(span.text, 1)
        place = opened.context(first, 0).place
        rows.append((_line(span.text), f"{span.count:,}", f"{span.rarity:.0f}", place))
    columns = ["parts that do, the rarest first", "count", "rarity (nats)", "for example in"]
    show_table(columns, rows, right=["count", "rarity (nats)"])


def _line(text: str) -> str:
    return " ".join(text.split())


def _place(opened: CorpusIndex, occurrence: Occurrence) -> dict[str, Any]:
    around = opened.context(occurrence, _AROUND)
    return {
        "document": occurrence.document,
        "offset": occurrence.offset,
        "file": around.document.file,
        "name": around.document.name,
        "place": around.place,
        "before": around.before,
        "match": around.match,
        "after": around.after,
    }


def _card(opened: CorpusIndex) -> dict[str, Any]:
    card = opened.manifest
    return {
        "path": str(opened.folder),
        "documents": opened.documents,
        "bytes": opened.bytes,
        "shards": len(card.shards),
        "made": card.made,
        "version": card.version,
        "sources": card.sources,
        "field": card.field,
        "left_out": card.n_skipped,
        "left_out_first": [each.model_dump() for each in card.skipped],
    }


def _say_skipped(opened: CorpusIndex) -> None:
    card = opened.manifest
    for each in card.skipped[:_SHOWN_SKIPPED]:
        out().print(f"Left out: {plain(each.why)}", soft_wrap=True)
    if card.n_skipped > _SHOWN_SKIPPED:
        out().print(f"… and {counted(card.n_skipped - _SHOWN_SKIPPED, 'file')} more.")
