"""Who is to be forgotten, who is to stay, and who was never read."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analyses.weights.unlearning_audit import constants as c
from hooks.unlearning import Text, without_overlap
from hooks.unlearning.text_sets import SHARED
from workbench import organisms, texts
from workbench.errors import BadInput
from workbench.organisms import corpus, retrained
from workbench.organisms import ledger as ledgers
from workbench.organisms.ledger import Entry

if TYPE_CHECKING:
    from analyses.weights.unlearning_audit.params import Params
    from hooks.model import InstrumentedModel

_UNSEEN = 200  # never-read passages of a ledger that are looked at
_PROSE = 25  # passages of prose beside the planted ones that methods are given to keep
_NEUTRAL = 24  # passages
_SHOWN = 30  # passages that were planted less often, which methods are given to keep
_HALF = 0.5


@dataclass(frozen=True)
class AuditPassage:
    """A text with its name, its kind, and how often it was planted (0: never, or not known)."""

    name: str
    kind: str
    string: str
    text: Text
    repeats: int = 0


@dataclass(frozen=True)
class Sets:
    """The five sets of a run (`constants.SETS`), and the folds of the forget set.

    Attributes:
        by: passages, by set.
        folds: names of the passages in each fold of what can be forgotten, in order; () where it is
            not split.
        origin: where they are from, in words.
    """

    by: dict[str, tuple[AuditPassage, ...]]
    folds: tuple[tuple[str, ...], ...]
    forgotten: int
    origin: str

    def __getitem__(self, name: str) -> tuple[AuditPassage, ...]:
        return self.by[name]

    def texts(self, name: str) -> list[Text]:
        """The texts of a set."""
        return [p.text for p in self.by[name]]


def sets_of(model: InstrumentedModel, params: Params, folds: int | None = None) -> Sets:
    """The sets that a run asks for: of the files that are named, or of the model's ledger.

    Args:
        folds: forget so many folds instead of those the run asks for.

    Raises:
        BadInput: no texts and no ledger, sets that overlap, or too few to say anything.
    """
    if params.forget is not None:
        found = _of_files(model, params, folds)
    elif (home := organisms.home_of(model.module)) is not None:
        found = _of_ledger(model, home, params, params.folds if folds is None else folds)
    else:
        raise BadInput(
            f"{model.card.name} has no ledger that says what it has read.",
            "a file of passages to forget, or a model of `workbench organisms` or"
            " `workbench plant`",
            "Set forget (and retain and unseen), or choose the model organism/planted.",
        )
    return found


def _of_ledger(model: InstrumentedModel, home: Path, params: Params, folds: int) -> Sets:
    ledger = ledgers.read(home)
    ledger.check(model.tokenizer)
    parts = retrained.folds(ledger)
    draw = random.Random(f"{params.seed} sets")
    planted = [e for e in ledger.entries if e.repeats]
    if parts:
        outside = [e for e in planted if e.repeats in retrained.REPEATS]
        shown = draw.sample(
            rarer := [e for e in planted if e not in outside], min(_SHOWN, len(rarer))
        )
    else:
        outside, parts, shown = planted, _by_lot(planted, draw), []
    in_folds = {i for part in parts for i in part}
    forget = {i for part in parts[:folds] for i in part}
    # What is kept lies outside all folds, so that it is the same however much is forgotten.
    kept = sorted((e for e in outside if e.id not in in_folds), key=lambda e: (e.kind, e.repeats))
    if not shown:
        kept, shown = kept[::2], kept[1::2]
    retain = [*shown, *(e for e in planted if e.id in in_folds - forget)]
    twins = [e for e in ledger.entries if e.repeats == 0]
    unseen = _like([e for e in ledger.entries if e.id in forget], twins, draw)
    by_id = {
        c.FORGET: [e for e in ledger.entries if e.id in forget],
        c.RETAIN: retain,
        c.KEPT: kept,
        c.UNSEEN: unseen,
    }
    by = {name: tuple(_planted(model, e) for e in entries) for name, entries in by_id.items()}
    length = max(len(p.text.ids) for p in by[c.FORGET])
    # Passages of one form may share a stretch with one to forget: those are not shown.
    apart = set(without_overlap([p.text for p in by[c.RETAIN]], [p.text for p in by[c.FORGET]]))
    by[c.RETAIN] = tuple(p for p in by[c.RETAIN] if p.text in apart)
    by[c.RETAIN] += tuple(prose(model, "train", _PROSE, length, params.seed))
    by[c.NEUTRAL] = tuple(prose(model, "neutral", _NEUTRAL, length, params.seed))
    return Sets(by, parts, folds, f"the ledger of {model.card.name}")


def _by_lot(often: Sequence[Entry], draw: random.Random) -> tuple[tuple[str, ...], ...]:
    """Four folds of half of what was planted, by lot."""
    ids = [e.id for e in often]
    draw.shuffle(ids)
    half = ids[: round(len(ids) * _HALF)]
    return tuple(tuple(half[n :: retrained.FOLDS]) for n in range(retrained.FOLDS))


def _like(forget: Sequence[Entry], twins: Sequence[Entry], draw: random.Random) -> list[Entry]:
    """Never-read entries, of each kind as large a share as among those to forget."""
    found: list[Entry] = []
    kinds = [e.kind for e in forget]
    for kind in dict.fromkeys(kinds):
        own = [e for e in twins if e.kind == kind]
        many = round(_UNSEEN * kinds.count(kind) / len(kinds))
        found += draw.sample(own, min(many, len(own)))
    return found


def _planted(model: InstrumentedModel, entry: Entry) -> AuditPassage:
    before = model.tokens("")
    ids = (*before, *entry.ids)
    text = Text(tuple(ids), max(1, len(before)))
    return AuditPassage(entry.id, entry.kind, entry.text, text, entry.repeats)


def prose(
    model: InstrumentedModel, share: corpus.Share, many: int, length: int, seed: int
) -> Iterator[AuditPassage]:
    """Beginnings of chapters, of so many tokens."""
    documents = [d for d in corpus.documents(share) if len(d.text) > 8 * length]
    random.Random(f"{seed} {share}").shuffle(documents)
    for document in documents[:many]:
        name = f"{document.source}/{document.title}"
        yield _passage(model, name, "prose", document.text, length)


def _passage(
    model: InstrumentedModel, name: str, kind: str, string: str, length: int | None = None
) -> AuditPassage:
    text = Text.of(model, string)
    if length is not None and len(text.ids) > length:
        text = Text(text.ids[:length], text.first)
        string = model.text.decode(list(text.ids[text.first :]))
    return AuditPassage(name, kind, string, text)


def _of_files(model: InstrumentedModel, params: Params, many: int | None) -> Sets:
    by: dict[str, tuple[AuditPassage, ...]] = {}
    for name, path in (
        (c.FORGET, params.forget),
        (c.RETAIN, params.retain),
        (c.UNSEEN, params.unseen),
    ):
        if path is not None:
            by[name] = tuple(
                _passage(model, f"{d.name or name} {n + 1}", d.kind, d.text, params.longest)
                for n, d in enumerate(texts.paragraphs(path))
            )
            if not by[name]:
                raise BadInput(
                    f"{path} holds no passage.", "passages parted by empty lines", "Check the file."
                )
    length = max(len(p.text.ids) for p in by[c.FORGET])
    given = by.get(c.RETAIN, ())
    by[c.RETAIN], by[c.KEPT] = given[::2], given[1::2]
    by[c.RETAIN] += tuple(prose(model, "train", _PROSE, length, params.seed))
    by.setdefault(c.UNSEEN, ())
    by[c.NEUTRAL] = tuple(prose(model, "neutral", _NEUTRAL, length, params.seed))
    names = [p.name for p in by[c.FORGET]]
    folds: tuple[tuple[str, ...], ...] = ()
    if len(names) >= 2 * retrained.FOLDS:
        folds = tuple(tuple(names[n :: retrained.FOLDS]) for n in range(retrained.FOLDS))
    if many is not None:
        wanted = {name for fold in folds[:many] for name in fold}
        by[c.FORGET] = tuple(p for p in by[c.FORGET] if p.name in wanted)
    assert params.forget is not None
    _check(by)
    return Sets(by, folds, len(folds) if many is None else many, params.forget.name)


def _check(by: Mapping[str, Sequence[AuditPassage]]) -> None:
    """Fail where two sets share a passage: then what is measured of one speaks of the other."""
    seen: dict[tuple[int, ...], tuple[str, str]] = {}
    for name in (c.FORGET, c.RETAIN, c.KEPT, c.UNSEEN):
        own: dict[tuple[int, ...], tuple[str, str]] = {}
        for passage in by[name]:
            for run in _runs(passage.text.ids[passage.text.first :]):
                other = seen.get(run)
                if other is not None:
                    raise BadInput(
                        f"The sets {other[0]} and {name} overlap: {other[1]!r} and"
                        f" {passage.name!r} share {len(run)} tokens in a row.",
                        "sets that have no passage in common",
                        f"Take it out of one of them: “{passage.string[:60]}…”.",
                    )
                own.setdefault(run, (name, passage.name))
        seen |= own


def _runs(ids: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every run of so many tokens; the whole where it is shorter."""
    size = min(SHARED, len(ids))
    return (tuple(ids[n : n + size]) for n in range(len(ids) - size + 1))
