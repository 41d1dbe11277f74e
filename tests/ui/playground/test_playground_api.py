"""The Playground as Gradio has it: when it asks what, and the API."""

from __future__ import annotations

import json

import pytest

import workbench as wb
from hooks import prompt_output
from ui.playground import app as playground

PROMPT = "The capital of France is"


@pytest.fixture
def blocks(app):
    return playground.blocks(app)


def test_a_prompt_is_asked_again_while_the_request_before_waits_for_a_model(blocks):
    """Else a switch of the model would go unanswered until the run that has the old one ends."""
    output = next(c for c in blocks.config["components"] if c["props"].get("elem_id") == "answer")
    asking = [d for d in blocks.config["dependencies"] if output["id"] in d["outputs"]]
    assert len(asking) > 8
    assert {d["trigger_mode"] for d in asking} == {"multiple"}


def test_nothing_is_marked_as_loading_where_nothing_is_shown_of_it(blocks):
    """The browser walks through the tree of all components for each mark, with every event."""
    hidden = [d for d in blocks.config["dependencies"] if d["show_progress"] == "hidden"]
    assert len(hidden) > 100
    assert len({tuple(d["show_progress_on"]) for d in hidden}) == 1


def test_a_form_is_asked_about_only_once_it_is_in_view(blocks):
    """What all forms hold, sent at once with every model, took a page seconds."""
    by_itself = [
        d
        for d in blocks.config["dependencies"]
        if {"load", "then", "tick"} & {name for _, name in d["targets"]}
    ]
    assert by_itself
    assert max(len(dependency["inputs"]) for dependency in by_itself) < 15


@pytest.fixture
def endpoints(blocks):
    return {fn.api_name: fn.fn for fn in blocks.fns.values() if fn.api_visibility == "public"}


def test_only_the_documented_endpoints_are_public(endpoints):
    assert set(endpoints) == {"next_tokens", "answers", "generate", "model", "analyses", "run"}


def test_endpoints_agree_with_the_model(endpoints, llama):
    top = endpoints["next_tokens"](PROMPT, ["L0H0"], None, None, 3)
    with wb.ablate(llama, heads=[(0, 0)]):
        plain = llama.next_tokens(PROMPT, k=3)
    assert [t["token"] for t in top] == list(plain["token"])
    both = endpoints["answers"](PROMPT, "Paris", "Rome")
    assert set(both) == {"memory", "context"}
    assert both["memory"]["logp"] == pytest.approx(
        prompt_output.read_prompt(llama, PROMPT, ("Paris",)).answers[0].logp, abs=1e-4
    )
    assert endpoints["generate"](PROMPT, None, None, None, 5) == llama.generate(
        PROMPT, max_new_tokens=5
    )


def test_an_analysis_through_the_api(endpoints, app, sheep_run):
    listed = {a["name"]: a for a in endpoints["analyses"]()}
    assert listed["count-sheep"]["params"]["properties"]["steps"]["maximum"] == 400
    json.dumps(listed)
    *_, last = endpoints["run"]("count-sheep", '{"steps": 2, "pause": 0.3}', 3)
    assert last["state"] == "done"
    assert last["findings"]["sheep"]["value"] == 2
    assert app.entry(last["run"]).analysis == "count-sheep"
    turned = endpoints["next_tokens"](PROMPT, [], sheep_run, 1.0, 3)
    assert turned != endpoints["next_tokens"](PROMPT, [], None, None, 3)


def test_api_errors_carry_the_message_only(endpoints, sheep_run):
    import gradio as gr

    for call in (
        lambda: endpoints["next_tokens"]("", [], None, None, 3),
        lambda: endpoints["answers"](PROMPT, "", "Rome"),
        lambda: endpoints["generate"](PROMPT, ["x"], None, None, 3),
        lambda: list(endpoints["run"]("no-such", "{}")),
        lambda: list(endpoints["run"]("count-sheep", "[1]")),
        lambda: list(endpoints["run"]("count-sheep", "{")),
        lambda: list(endpoints["run"]("count-sheep", '{"steps": -1}')),
        lambda: list(endpoints["run"]("count-sheep", '{"crash": true}')),
    ):
        with pytest.raises(gr.Error) as caught:
            call()
        assert caught.value.print_exception is False
        assert caught.value.message
