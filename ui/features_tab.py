"""The Features tab of the Playground: a prompt coloured by class and by a feature, and the
feature set at one of its tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from hooks.features.sae import SKIP
from ui import chat as chats
from ui import feature_service, html_parts
from ui.app_state import AppState
from ui.theme import AT_ONCE, PLAIN, QUIET
from workbench.errors import BadInput, WorkbenchError
from workbench.models.conversation import typed

PROMPT = "Question: What is the capital of Japan?\nAnswer: The capital of Japan is"
_LISTED = 12  # features of a token that are shown with what they fire on
_EMPTY = (
    '<div class="wb try-empty"><p><strong>Read a prompt</strong> to see which features are active'
    " at which of its tokens. Then choose a token and a feature, say what to set it to, and compare"
    " how the text goes on.</p></div>"
)


@dataclass(frozen=True)
class FeaturesTab:
    """What the rest of the page needs: `fit` says, for the outputs `fits`, what can be chosen once
    there is a model; `first` shows the feature that the page's address asks for.
    """

    fits: list[Any]
    fit: Callable[[], list[Any]]
    first: Callable[[Any], None]


def build(desk: AppState) -> FeaturesTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    reader = feature_service.Reader(desk)
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=6, min_width=300):
            prompt = gr.Textbox(
                PROMPT,
                label="Prompt",
                info="At most 256 tokens",
                lines=3,
                max_lines=12,
                elem_id="features-prompt",
            )
            chat = chats.box("features-chat")
            name = gr.Dropdown(
                [],
                label="Autoencoder",
                info=(
                    "One that comes with the workbench; or a folder, RELEASE/ID of SAELens, or a"
                    " Neuronpedia id."
                ),
                allow_custom_value=True,
                elem_id="features-name",
            )
            read = gr.Button("Read", variant="primary", elem_id="features-read")
            with gr.Row():
                token = gr.Dropdown([], label="Token", min_width=140, elem_id="features-token")
                feature = gr.Dropdown(
                    [],
                    label="Feature",
                    info="Active there; or type a number.",
                    allow_custom_value=True,
                    min_width=220,
                    elem_id="features-feature",
                )
            with gr.Row():
                to = gr.Number(
                    0.0, label="Set it to", info="Activation", min_width=140, elem_id="features-to"
                )
                length = gr.Slider(1, 80, 24, step=1, label="Tokens of continuation", min_width=180)
            with gr.Row():
                steer = gr.Button("Steer and compare", variant="primary", elem_id="features-steer")
                stop = gr.Button("Stop", elem_id="features-stop")
        with gr.Column(scale=9, min_width=320):
            trouble = gr.HTML("", elem_id="features-trouble", **PLAIN)
            text = gr.HTML(_EMPTY, elem_id="features-text", **PLAIN)
            compared = gr.HTML("", elem_id="features-compared", **PLAIN)

    def looked(
        name_: str | None, prompt_: str | None, chat_: bool | None
    ) -> feature_service.Looked:
        return reader.look(name_, prompt_ or "", bool(chat_))

    def on_read(name_: str | None, prompt_: str | None, chat_: bool | None) -> list[Any]:
        """A new prompt or autoencoder: its tokens, and the features at the last function token."""
        try:
            found = looked(name_, prompt_, chat_)
        except WorkbenchError as problem:
            return [html_parts.error(problem), _EMPTY, "", gr.skip(), gr.skip(), gr.skip()]
        pos = found.place(None)
        tokens = [(f"{n}: {parts_of(word)}", n) for n, word in enumerate(found.tokens)]
        return [
            "",
            str(found.strip(None)) + _about(found),
            "",
            gr.Dropdown(choices=tokens, value=pos),
            *_features(found, pos),
        ]

    def on_token(
        name_: str | None, prompt_: str | None, chat_: bool | None, pos: int | None
    ) -> list[Any]:
        try:
            found = looked(name_, prompt_, chat_)
        except WorkbenchError as problem:
            return [html_parts.error(problem), gr.skip(), gr.skip()]
        return ["", *_features(found, found.place(pos))]

    def on_feature(
        name_: str | None, prompt_: str | None, chat_: bool | None, pos: int | None, feature_: Any
    ) -> list[Any]:
        try:
            found = looked(name_, prompt_, chat_)
            which = _number(feature_)
            found.features.check([which])
        except WorkbenchError as problem:
            return [html_parts.error(problem), gr.skip(), gr.skip()]
        here = float(found.active[found.place(pos), which])
        most = found.most(which)
        box = gr.Number(
            value=round(most or 10.0, 1),
            info=f"Activation; {here:.1f} there now, {most:.1f} is large for it.",
        )
        return ["", str(found.strip(which)) + _at_token(found, found.place(pos), which), box]

    def on_steer(
        name_: str | None,
        prompt_: str | None,
        chat_: bool | None,
        pos: int | None,
        feature_: Any,
        to_: float | None,
        length_: float | None,
    ) -> Iterator[list[Any]]:
        try:
            found = looked(name_, prompt_, chat_)
            which, place = _number(feature_), found.place(pos)
            change = f"feature {which} set to {to_ or 0:g} at token {place}"
            for before, after in reader.steer(
                found,
                typed(prompt_ or "", bool(chat_)),
                which,
                float(to_ or 0),
                place,
                int(length_ or 1),
            ):
                yield ["", _compared(before, after, change)]
        except WorkbenchError as problem:
            yield [html_parts.error(problem), gr.skip()]

    shown = [trouble, text, compared, token, feature, to]
    gr.on(
        [read.click, prompt.submit, name.input], on_read, [name, prompt, chat], shown, **QUIET
    ).then(on_feature, [name, prompt, chat, token, feature], [trouble, text, to], **QUIET)
    token.input(on_token, [name, prompt, chat, token], [trouble, feature, to], **QUIET).then(
        on_feature, [name, prompt, chat, token, feature], [trouble, text, to], **QUIET
    )
    feature.input(on_feature, [name, prompt, chat, token, feature], [trouble, text, to], **QUIET)
    running = steer.click(
        on_steer, [name, prompt, chat, token, feature, to, length], [trouble, compared], **QUIET
    )
    stop.click(None, None, None, cancels=[running], **QUIET)

    def fit() -> list[Any]:
        names = feature_service.choices(desk)
        model = desk.slot.model
        box = gr.skip() if model is None else chats.fitted(model)
        return [gr.Dropdown(choices=names, value=names[len(names) // 2] if names else None), box]

    def asked(request: gr.Request) -> list[Any]:
        """The address may name a feature: `/playground?features=NAME&feature=412`, and a prompt
        (`text`).
        """
        wanted = request.query_params.get("features", "")
        if not wanted or desk.slot.model is None:
            return [gr.skip(), gr.skip(), *[gr.skip() for _ in shown]]
        number, prompt_ = (
            request.query_params.get("feature", ""),
            request.query_params.get("text") or PROMPT,
        )
        read_ = on_read(wanted, prompt_, False)
        return [wanted, prompt_, *read_[:4], number or read_[4], read_[5]]

    def asked_to_steer(
        name_: str | None,
        prompt_: str | None,
        chat_: bool | None,
        pos: int | None,
        feature_: Any,
        length_: float | None,
        request: gr.Request,
    ) -> Iterator[list[Any]]:
        """What it is to be set to (`to`) makes the page steer at once."""
        wanted = request.query_params.get("to", "")
        if not wanted or not request.query_params.get("features") or desk.slot.model is None:
            return
        try:
            to_ = float(wanted)
        except ValueError:
            to_ = math.nan
        if not math.isfinite(to_):
            problem = BadInput(
                f"{wanted[:40]!r} is no number.",
                "an activation, e.g. 12.5",
                "Type it into “Set it to”.",
            )
            yield [html_parts.error(problem), gr.skip(), gr.skip()]
            return
        for said in on_steer(name_, prompt_, chat_, pos, feature_, to_, length_):
            yield [*said, to_]

    def first(ready: Any) -> None:
        ready.then(asked, None, [name, prompt, *shown], **AT_ONCE).then(
            lambda name_, *rest: on_feature(name_, *rest) if rest[-1] else [gr.skip()] * 3,
            [name, prompt, chat, token, feature],
            [trouble, text, to],
            **AT_ONCE,
        ).then(
            asked_to_steer,
            [name, prompt, chat, token, feature, length],
            [trouble, compared, to],
            **QUIET,
        )

    return FeaturesTab([name, chat], fit, first)


def parts_of(word: str) -> str:
    """A token as a choice in a list."""
    return "".join({" ": "·", "\n": "↵", "\t": "⇥"}.get(c, c) for c in word)


def _features(found: feature_service.Looked, pos: int) -> list[Any]:
    """The Feature and "set it to" boxes for a token."""
    strong = found.strongest(pos)
    listed = [
        (f"{f} · {v:.1f} · {found.described.fires_on.get(f, '')}".rstrip(" ·"), str(f))
        for f, v in strong
    ]
    return [gr.Dropdown(choices=listed, value=listed[0][1] if listed else None), gr.skip()]


def _about(found: feature_service.Looked) -> str:
    by = (
        "the list of a finished run"
        if found.by_run
        else "grammar, as no function-tokens run of this model is there"
    )
    return f'<p class="wb-muted">Function tokens by {by}.</p>'


def _at_token(found: feature_service.Looked, pos: int, chosen: int) -> str:
    """The strongest features of a token, and what a finished run says they fire on."""
    known = found.described.fires_on
    rows = [
        f'<tr{" class=chosen" if feature == chosen else ""}><td class="num">{feature}</td><td'
        f' class="num">{value:.1f}</td>'
        + (f"<td>{escape(known.get(feature, ''))}</td>" if known else "")
        + "</tr>"
        for feature, value in found.strongest(pos, _LISTED)
    ]
    left_out = (
        f'<p class="wb-muted">The first {SKIP} tokens are left out: they draw huge vectors whatever'
        " they are.</p>"
    )
    if not rows:
        return left_out + f'<p class="wb">No feature is active at token {pos}.</p>'
    head = "<th>feature</th><th>activation</th>" + ("<th>fires mostly on</th>" if known else "")
    about = f"Strongest at token {pos}, “{escape(parts_of(found.tokens[pos]))}”"
    return left_out + (
        f'<table class="wb features-at"><caption>{about}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _number(feature: Any) -> int:
    text = str(feature if feature is not None else "").strip().partition(" ")[0]
    if not text.isascii() or not text.isdigit():
        raise BadInput(
            f"{text[:40]!r} is no number of a feature.",
            "a whole number",
            "Choose one from the list, or type one.",
        )
    return int(text)


def _compared(before: str, after: str, change: str) -> str:
    columns = (("Unchanged", "the model as it is", before), ("Steered", change, after))
    made = "".join(
        f'<section class="col"><h3>{title} <small class="wb-muted">{escape(about)}</small></h3>'
        f'<p class="continuation">{escape(text)}</p></section>'
        for title, about, text in columns
    )
    return f'<div class="wb try">{made}</div>'
