"""The prompt of a finished run, asked again: without sentences, with others in their place, with
the subject hidden, with heads and features off where the answer begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

import workbench as wb
from analyses.prompt.provenance.active_features import autoencoders_of
from analyses.prompt.provenance.answer import answer_tokens
from analyses.prompt.provenance.constants import GUESSED, PROMPT, RANDOM, SUBJECT_TOKENS, WEIGHTS
from analyses.prompt.provenance.end_reading import EndReading, has_end
from analyses.prompt.provenance.neutral import neutral_tokens
from analyses.prompt.provenance.params import Params
from analyses.prompt.provenance.prompt_parts import PromptParts, Range, take_apart
from analyses.prompt.provenance.subject import Blocking
from hooks.eager_eval import steady
from hooks.model_change import heads_from
from hooks.prompt_changes import PromptChange
from workbench.errors import BadInput
from workbench.heads import head_name, parse_head
from workbench.playground import AskedAgain, PromptPiece
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.result import Result

Head = tuple[int, int]
_SUBJECT = "the subject"
_READS = {PROMPT: "Heads that look at the context", WEIGHTS: "Heads that look at the subject"}
_LIKELY = 5  # next tokens
_MORE = 8  # tokens said beyond as many as the answer has
_SHOWN_FEATURES = 8
_LABEL = 90  # characters


@dataclass(frozen=True)
class ProvenanceTest:
    """See `workbench.playground.PromptTest`."""

    model: InstrumentedModel
    asked: PromptParts
    answer_ids: list[int]
    subject: str
    head_groups: dict[str, list[Head]] = field(default_factory=dict)
    features: dict[str, tuple[str, int]] = field(default_factory=dict)
    pieces: tuple[PromptPiece, ...] = ()

    @property
    def answer(self) -> str:
        return self.model.text.decode_continuation(self.answer_ids).strip()

    @property
    def further(self) -> str:
        """See `PromptTest`."""
        head = head_name(self.model.n_layers - 1, 0)
        names = autoencoders_of(self.model)
        feature = f", or a feature such as {names[-1]}:100" if names else ""
        return f"a head such as {head}{feature}"

    @ordinary
    @torch.no_grad()
    def ask(
        self, off: Sequence[str] = (), further: str = "", instead: str = "", of: str = ""
    ) -> AskedAgain:
        """See `PromptTest.ask`; exact, with no more than one pass over the prompt."""
        known = {piece.name for piece in self.pieces}
        for name in [*off, *([of] if instead.strip() else [])]:
            if name not in known:
                raise BadInput(
                    f"The prompt has no piece {name!r}.",
                    "one of those that are shown",
                    "Choose again: another prompt may have been asked.",
                )
        heads, features = self._named(off, further)
        reading = self._read(set(off), of if instead.strip() else "", instead)
        with self._changed(heads, features):
            logp = reading.logp(self.answer_ids)
            likely = [(self.model.token_strings([token])[0], p)
                      for token, p in reading.next_tokens(_LIKELY)]  # fmt: skip
            said = reading.said(len(self.answer_ids) + _MORE)
        return AskedAgain(said, logp, likely)

    def _read(self, off: set[str], of: str, instead: str) -> EndReading:
        """The prompt that is left, read but for its last token."""
        asked, model = self.asked, self.model
        ids, moved = list[int](), dict[int, int]()
        cut = {n for n in range(len(asked.sentences)) if _sentence(n) in off}
        new = {n: instead for n in range(len(asked.sentences)) if _sentence(n) == of}
        places = {n: asked.sentences[n] for n in cut | set(new)}
        starts = {piece.start: n for n, piece in places.items()}
        pos = 0
        while pos < len(asked.ids):
            n = starts.get(pos)
            if n is None:
                moved[pos] = len(ids)
                ids.append(asked.ids[pos])
                pos += 1
                continue
            if n in new and n not in cut:
                # A space that a sentence's first token holds is that of its place.
                space = " " * asked.text[asked.spans[pos][0]].isspace()
                ids += model.continuation_tokens(space + new[n].strip())
            pos = places[n].stop
        mentions = [(moved[a], moved[b - 1] + 1) for a, b in self._mentions(off)
                    if a in moved and b - 1 in moved]  # fmt: skip
        change = PromptChange()
        if mentions:
            left = PromptParts(asked.text, ids, asked.spans, (), (),
                               (moved[asked.question[0]], len(ids)))  # fmt: skip
            neutral = neutral_tokens(model, 8 * SUBJECT_TOKENS, 1, [self.answer], 0)[0]
            change = Blocking.of(model, left, neutral).change(mentions)
        with steady(model.module):
            return EndReading.of(model, change.ids(ids), change.hidden)

    def _mentions(self, off: set[str]) -> list[Range]:
        if _SUBJECT not in off:
            return []
        return [each for each in self.asked.mentions(self.subject) if each[1] < len(self.asked.ids)]

    def _named(self, off: Sequence[str], further: str) -> tuple[list[Head], list[tuple[str, int]]]:
        """The heads and features that are to be off; looked at before anything is read."""
        heads = {head for name in off for head in self.head_groups.get(name, ())}
        features = [self.features[name] for name in off if name in self.features]
        for name in filter(None, re.split(r"[,;\s]+", further)):
            if parse_head(name) is not None:
                heads |= set(heads_from([name], self.model))
            else:
                features.append(self._feature(name))
        if features and not has_end(self.model):
            raise BadInput(
                f"{self.model.card.name} has no heads whose keys are kept, so nothing is changed at"
                " the prompt's end alone.",
                "sentences, or the name in the question",
                "Take one of those away.",
            )
        return sorted(heads), features

    @contextmanager
    def _changed(
        self, heads: Sequence[Head], features: Sequence[tuple[str, int]]
    ) -> Iterator[None]:
        """Heads and features off: entered where the prompt has been read, they hold behind it."""
        with ExitStack() as stack:
            if heads:
                stack.enter_context(wb.ablate(self.model, list(heads)))
            for autoencoder, feature in features:
                stack.enter_context(wb.open_features(autoencoder, self.model).ablate([feature]))
            yield

    def _feature(self, name: str) -> tuple[str, int]:
        """An autoencoder and a feature from `smollm2-135m/resid_post-15:1298`."""
        autoencoder, _, number = name.rpartition(":")
        if not autoencoder or not number.isdecimal():
            raise BadInput(
                f"{name[:60]!r} is neither a head nor a feature.",
                self.further,
                "Separate several with commas.",
            )
        return autoencoder, int(number)


def test_of(model: InstrumentedModel, run: Result) -> ProvenanceTest:
    """The prompt of a run, to be asked again.

    Raises:
        BadInput: the run was made with another model, or other weights of it.
    """
    made_with = run.provenance.model
    if made_with.get("weight_hash") != model.card.weight_hash:
        raise BadInput(
            f"That run was made with {made_with.get('name', 'another model')}, or other weights.",
            f"a run of {model.card.name}",
            "Ask again, with the model that is loaded.",
        )
    params = Params.model_validate(run.params)
    asked = take_apart(model, params.prompt, params.question, chat=params.chat)
    answer, _ = answer_tokens(model, asked, params.answer, params.length)
    subject, groups, features = _subject(run, asked), _groups(run), _features(run)
    pieces = [
        PromptPiece(_sentence(n), _short(piece.text), piece.text)
        for n, piece in enumerate(asked.sentences)
    ]
    if subject:
        pieces.append(PromptPiece(_SUBJECT, f"{subject}, hidden from all that follows"))
    for name, heads in groups.items():
        listed = ", ".join(head_name(*head) for head in heads)
        pieces.append(PromptPiece(name, _short(f"{name}: {listed}")))
    pieces += [PromptPiece(name, label) for name, (label, _) in features.items()]
    named = {name: feature for name, (_, feature) in features.items()}
    return ProvenanceTest(model, asked, answer, subject, groups, named, tuple(pieces))


def _sentence(n: int) -> str:
    return f"sentence {n}"


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LABEL else f"{words[: _LABEL - 2]} …"


def _subject(run: Result, asked: PromptParts) -> str:
    """Whom the run found the question to be about; "" where it did not look."""
    table = run.tables["prompt"]
    rows = table.loc[table["part"] == "subject", "pos"].tolist()
    if not rows:
        return ""
    last = next((n for n, pos in enumerate(rows) if pos != rows[0] + n), len(rows))
    return asked.text[asked.spans[rows[0]][0] : asked.spans[rows[last - 1]][1]].strip()


def _groups(run: Result) -> dict[str, list[Head]]:
    """Heads that the run switched off together."""
    if "groups" not in run.tables:
        return {}
    table = run.tables["groups"]
    rows = table[~table["group"].isin(["none", RANDOM])]
    return {
        _READS.get(str(row.group), f"{row.group[0].upper()}{row.group[1:]}"): [
            head for name in str(row.heads).split() if (head := parse_head(name))
        ]
        for row in rows.itertuples()
    }


def _features(run: Result) -> dict[str, tuple[str, tuple[str, int]]]:
    """Labels, autoencoders and numbers of the features that count most, by name."""
    if "features" not in run.tables:
        return {}
    table = run.tables["features"]
    best = table[table["why"] == GUESSED].nsmallest(_SHOWN_FEATURES, "effect")
    return {
        f"{row.autoencoder}:{row.feature}": (
            f"{row.autoencoder}:{row.feature}"
            + f", makes {row.promotes} likelier" * bool(row.promotes),
            (str(row.autoencoder), int(row.feature)),
        )
        for row in best.itertuples()
    }
