"""Which texts are asked about: pasted, from files, or the ledger that came with the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field, model_validator

from analyses.measures import windows
from workbench import organisms, texts
from workbench.errors import BadInput
from workbench.organisms import ledger as ledgers
from workbench.result import Finding, Result
from workbench.text_files import TextPath
from workbench.text_preview import Piece, TextPreview
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_BYTES = 4  # of English text that are about one token
_SOME = 20_000  # characters that tell how many tokens a text has
_PREVIEWED = 100_000  # characters or bytes of a text that a preview cuts
_AFTER = 30  # tokens that a preview shows after the first window


class Texts(BaseModel, frozen=True, extra="forbid"):
    """The parameters that name texts."""

    text: str = Field(
        "",
        description="Text to look for. Empty: that at `path`, else what was planted in the model",
        max_length=1_000_000,
        json_schema_extra={"essential": True, "in_title": "{}"},
    )
    path: TextPath | None = Field(
        None,
        description=(
            "A text file, .jsonl (text, and where known repeats, kind, name), a ledger, or a folder"
            " of them; or the address of one (s3://…)"
        ),
        json_schema_extra={"essential": True, "in_title": "{}"},
    )

    @model_validator(mode="after")
    def _can_be_read(self) -> Texts:
        """What can be wrong with a file is said before a model is loaded."""
        if self.text.strip() and self.path is not None:
            raise ValueError("give a text or a path, not both")
        if self.path is not None:
            texts.size_of(self.path)
        return self

    @property
    def named(self) -> str:
        """Where the texts come from, for people."""
        if self.text.strip():
            return "pasted text"
        return self.path.name if self.path is not None else "the ledger that came with the model"


def windows_of(
    model: InstrumentedModel,
    source: Texts,
    prefix: int,
    suffix: int,
    stride: int,
    most: int,
    skipped: list[tuple[str, str]],
) -> tuple[list[texts.Document], list[windows.Window], list[texts.Document], float]:
    """(documents, windows, documents too short for one, share of the texts that the windows come
    from).

    Args:
        most: windows at most; of longer texts an even sample.
        skipped: files that cannot be read are added, each with the reason.

    Raises:
        BadInput: there is no text, or none that is long enough.
    """
    reach = _most_bytes(most, stride)
    documents, cut, short = windows.cut(
        model, _documents(model, source, reach, skipped), prefix, suffix, stride
    )
    if not cut:
        if not short and skipped:
            raise BadInput(
                f"None of the files can be read. {skipped[0][1]}",
                "plain text in UTF-8",
                "Convert them to text first.",
            )
        longest = max((len(model.text.encode(document.text)) for document in short), default=0)
        raise BadInput(
            f"No text is long enough for a window: the longest has {counted(longest, 'token')}.",
            f"at least {prefix + suffix} tokens, for a context of {prefix} and a suffix of"
            f" {suffix}",
            "Choose a shorter context and suffix, or longer texts.",
        )
    share = 1.0
    if source.path is not None and source.path.name != ledgers.FILE:
        share = min(share, reach / max(1, texts.size_of(source.path)))
    if len(cut) > most:
        share *= most / len(cut)
        keep = np.linspace(0, len(cut) - 1, most).round().astype(int)
        cut = [cut[i] for i in keep]
    return documents, cut, short, share


def n_windows(
    model: InstrumentedModel, source: Texts, prefix: int, suffix: int, stride: int, most: int
) -> int:
    """About how many windows `windows_of` gives, without reading texts; exact for a ledger.

    0 where no text is given and the model has none.
    """
    if source.text.strip():
        lengths = [_about_tokens(model, source.text)]
    elif source.path is not None and source.path.name != ledgers.FILE:
        lengths = [texts.size_of(source.path) // _BYTES]
    elif (book := source.path or organisms.home_of(model.module)) is not None:
        documents = texts.from_ledger(texts.ledger_at(book).entries)
        lengths = [len(document.ids or ()) for document in documents]
    else:
        return 0
    return min(most, sum(len(range(0, n - prefix - suffix + 1, stride)) for n in lengths))


def preview(
    model: InstrumentedModel, source: Texts, prefix: int, suffix: int, stride: int, most: int
) -> TextPreview | None:
    """How `windows_of` will cut the texts, from their beginning; None where there is no text."""
    book = source.path or organisms.home_of(model.module)
    if not source.text.strip() and book is None:
        return None
    start = source.model_copy(update={"text": source.text[:_PREVIEWED]})
    used, cut, short = windows.cut(
        model, _documents(model, start, _PREVIEWED, []), prefix, suffix, stride
    )
    window = f"{prefix} tokens given and {suffix} wanted, every {stride} tokens"
    if not cut:
        longest = max((len(model.text.encode(document.text)) for document in short), default=0)
        return TextPreview(
            f"No window fits: the longest text has {counted(longest, 'token')}, and a window takes"
            f" {prefix + suffix:,} ({window})."
        )
    n = max(min(most, len(cut)), n_windows(model, source, prefix, suffix, stride, most))
    says = [f"{'About ' if n > len(cut) else ''}{n:,} windows: {window}."]
    first = used[0].ids or tuple(model.text.encode(used[0].text))
    end = max(w.start for w in cut if w.document == 0) + prefix + suffix
    if n <= len(cut) and len(used) == 1 and end < len(first):
        says.append(f"The last {len(first) - end} of {len(first):,} tokens are in no window.")
    if short:
        says.append(f"Too short for one: {counted(len(short), 'text')}.")
    if n == most:
        says.append(f"No more than {most:,}: longer texts are sampled evenly.")
    begin, middle = prefix, prefix + suffix
    return TextPreview(
        " ".join(says),
        [
            Piece(model.text.decode(first[:begin]), "prefix"),
            Piece(model.text.decode_continuation(first[begin:middle]), "suffix"),
            Piece(model.text.decode_continuation(first[middle : middle + _AFTER]), "outside"),
        ],
    )


def _about_tokens(model: InstrumentedModel, text: str) -> int:
    """Tokens of a text, from its beginning where it is long."""
    some = text[:_SOME]
    return len(model.text.encode(some)) * len(text) // len(some)


def altered(model: InstrumentedModel, documents: Iterable[texts.Document]) -> list[str]:
    """Names of the texts that are others once the tokenizer gives them back; a space in front
    does not count.
    """
    names = []
    for document in documents:
        if document.ids is not None:
            continue
        if model.text.decode(model.text.encode(document.text)).lstrip(" ") != document.text.lstrip(
            " "
        ):
            names.append(document.name)
    return list(dict.fromkeys(names))


def _documents(
    model: InstrumentedModel, source: Texts, reach: int, skipped: list[tuple[str, str]]
) -> Iterable[texts.Document]:
    if source.text.strip():
        return [texts.Document("your text", source.text)]
    if source.path is not None and source.path.name != ledgers.FILE:
        return _told_apart(texts.from_path(source.path, reach, skipped))
    book = source.path or organisms.home_of(model.module)
    if book is None:
        raise BadInput(
            f"No text is given, and {model.card.name} has no ledger of what was planted in it.",
            "a text, a path, or a model of `workbench organisms` or `workbench plant`",
            "Set text or path; or choose the model organism/planted.",
        )
    ledger = texts.ledger_at(book)
    ledger.check(model.tokenizer)
    return texts.from_ledger(ledger.entries)


def _told_apart(documents: Iterable[texts.Document]) -> Iterator[texts.Document]:
    """Each text with a name of its own: verdicts are by name.

    Later pieces of a long one keep the name of the first.
    """
    seen: set[str] = set()
    name = ""
    for document in documents:
        if document.start == 0:
            name = document.name
            if name in seen:
                name = next(
                    other for n in count(2) if (other := f"{document.name} ({n})") not in seen
                )
            seen.add(name)
        yield replace(document, name=name)


def _most_bytes(most: int, stride: int) -> int:
    """Bytes of text that surely give `most` windows: no tokenizer takes more than eight a token
    on average.
    """
    return 8 * most * stride + (1 << 20)


def add_left_out(result: Result, left_out: Sequence[tuple[str, str]], coverage: float) -> None:
    """What was not looked at, each with the reason: nobody should take silence for a finding."""
    if coverage < 1:
        result.provenance.notes["sampled"] = f"an even sample of {percent(coverage)} of the text"
    if not left_out:
        return
    import pandas as pd

    result.tables["left_out"] = pd.DataFrame(left_out, columns=["name", "reason"])
    name, why = left_out[0]
    more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
    says = f"Not looked at: {name} ({why.rstrip('.')}){more}."
    result.add(Finding("left_out", float(len(left_out)), says, unit="texts"))


def add_altered(result: Result, names: Sequence[str]) -> None:
    """Which texts the tokenizer changes: a match is then of its tokens, and not quite of the
    text.
    """
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        says = (
            f"The tokenizer does not give {names[0]}{more} back as it was (it may change case,"
            " spaces or signs it does not know). What is compared, and shown, is the text of the"
            " tokens."
        )
        result.add(Finding("altered", float(len(names)), says, unit="texts"))
