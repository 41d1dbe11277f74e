"""The Playground without a browser: what it computes, what it answers, what it draws."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import pytest
import torch
from pydantic import BaseModel

import workbench as wb
from hooks import model_change, prompt_output
from tests.helpers.synthetic import HOSTILE, synthetic_result
from ui.jobs import Job
from ui.model_slot import ModelSlot
from ui.playground import (
    finished_runs,
    head_buttons,
    html_parts,
    job_cards,
    prompt_choices,
    prompt_stream,
)
from ui.playground.inject_head import inject
from ui.playground.prompt_stream import Answerer, PromptRequest, Tickets
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.playground import HeadRole

PROMPT = "The capital of France is"


class NoParams(BaseModel):
    pass


# -- computing -------------------------------------------------------------------------------------


def test_both_answers_in_one_pass_equal_one_at_a_time(llama):
    """The truth is a plain forward pass over prompt and answer, without padding."""
    asked = ("Paris", "Rome is it")
    looked = prompt_output.read_prompt(llama, PROMPT, asked)
    for text, answer in zip(asked, looked.answers, strict=True):
        start, tail = llama.tokens(PROMPT), llama.continuation_tokens(" " + text)
        with torch.no_grad():
            logp = llama.module(torch.tensor([start + tail])).logits[0].log_softmax(-1)
        each = [float(logp[len(start) - 1 + i, t]) for i, t in enumerate(tail)]
        assert answer.logp == pytest.approx(sum(each), abs=1e-4)
        assert answer.p_first == pytest.approx(math.exp(each[0]), rel=1e-3)
        assert answer.n_tokens == len(tail)
    plain = llama.next_tokens(PROMPT, k=10)
    assert [t for t, _ in looked.tokens] == list(plain["token"])
    assert [p for _, p in looked.tokens] == pytest.approx(list(plain["probability"]), rel=1e-3)


def test_an_empty_answer_is_left_out(llama):
    looked = prompt_output.read_prompt(llama, PROMPT, ("", "Rome"))
    assert looked.answers[0] is None
    assert looked.answers[1].text == "Rome"
    assert prompt_output.read_prompt(llama, PROMPT, ("", " ")).answers == [None, None]


def test_a_space_is_added_only_where_it_is_missing():
    assert prompt_output.as_continuation("is", "Paris") == " Paris"
    assert prompt_output.as_continuation("is ", "Paris") == "Paris"
    assert prompt_output.as_continuation("is", "\nParis") == "\nParis"
    assert prompt_output.as_continuation("", "Paris") == "Paris"


@pytest.mark.parametrize("prompt", ["", "  \n "])
def test_an_empty_prompt_is_said(llama, prompt):
    with pytest.raises(BadInput, match="empty"):
        prompt_output.read_prompt(llama, prompt)


def test_a_prompt_longer_than_the_table_of_positions_is_said(gpt2):
    with pytest.raises(BadInput, match="at most 256"):
        prompt_output.read_prompt(gpt2, "word " * 2000)
    with pytest.raises(BadInput, match="no positions past 256"):
        prompt_output.continuation(gpt2, PROMPT, 256)


def test_heads_off_change_the_answer_and_leave_nothing_behind(llama):
    before = prompt_output.read_prompt(llama, PROMPT, ("Paris",))
    with model_change.ModelChange(off=((0, 0), (1, 1))).on(llama):
        changed = prompt_output.read_prompt(llama, PROMPT, ("Paris",))
    with wb.ablate(llama, heads=[(0, 0), (1, 1)]):
        assert prompt_output.read_prompt(llama, PROMPT, ("Paris",)) == changed
    assert changed.tokens != before.tokens
    assert prompt_output.read_prompt(llama, PROMPT, ("Paris",)) == before


def test_a_second_model_stands_beside_and_what_differs_is_marked():
    first, second = (
        prompt_output.PromptOutput(tokens, [], torch.zeros(0))
        for tokens in ([(" a", 0.5), (" b", 0.2)], [(" a", 0.4), (HOSTILE, 0.3)])
    )
    view = html_parts.Comparison(first, texts=("one two three", None), name="first")
    assert "≠" not in view.html()
    waiting = replace(view, second=html_parts.SecondModel(HOSTILE)).html()
    assert "Its answer to the same prompt" in waiting
    both = replace(view, second=html_parts.SecondModel(HOSTILE, second, "one <b>2</b> three"))
    page = both.html()
    assert HOSTILE not in page + waiting
    assert page.count('<span class="differs"') == 2
    assert "one<mark> two</mark> three" in page
    assert "one<mark> &lt;b&gt;2&lt;/b&gt;</mark> three" in page
    assert "<mark>" not in replace(both, writing=True).html()


def test_a_second_model_answers_the_same_prompt_as_it_is(app, gpt2):
    app.shelf._load = lambda ref, progress: gpt2
    offered = dict(prompt_choices.model_choices(app, ""))
    assert offered["none"] == ""
    assert app.slot.name not in offered.values()
    asked = PromptRequest(PROMPT, "Paris", "Rome", off=("L0H0",), length=3, second="smollm2-135m")
    shown = [step for step in Answerer(app).answer("s", asked) if step.answer]
    assert not shown[-1].error_box
    assert gpt2.card.name in shown[-1].answer
    assert shown[-1].answer.count('<section class="col"') == 3
    expected = prompt_output.read_prompt(gpt2, PROMPT)
    assert html_parts.percent(expected.tokens[0][1]) in shown[-1].answer
    assert app.slot.name != gpt2.card.name
    assert "smollm2-135m" not in {slot.name for slot in app.shelf.loaded()}  # its card says gpt2
    broken = replace(asked, second="no such model")
    *_, last = Answerer(app).answer("s", broken)
    assert "no model" in last.error_box
    assert last.answer.count('<section class="col"') == 2
    assert "caret" not in last.answer


def test_names_of_heads_are_checked(llama):
    assert model_change.heads_from(["l1h2", "L0H0", "L1H2"], llama) == ((0, 0), (1, 2))
    for wrong in ("L3H0", "L0H4", "4", "<script>", ""):
        with pytest.raises(BadInput, match="L0H0 to L2H3"):
            model_change.heads_from([wrong], llama)


def test_a_continuation_stops_when_nobody_waits(llama):
    seen: list[str] = []
    whole = prompt_output.continuation(llama, PROMPT, 12, more=seen.append)
    assert seen[-1].strip() == whole.strip()
    calls = iter([True, True, False])
    assert len(prompt_output.continuation(llama, PROMPT, 12, alive=lambda: next(calls))) < len(
        whole
    )
    assert llama.lock.acquire(blocking=False)
    llama.lock.release()


def test_a_finished_run_gives_its_dial_and_heads(app, sheep_run, llama):
    assert [value for _, value in prompt_choices.run_choices(app)] == ["", sheep_run]
    result = finished_runs.open_cached(app.entry(sheep_run).path)
    roles = finished_runs.roles_of(result, llama)
    assert {role.off: heads for role, heads in roles.items()} == {
        "Memory heads off": [(0, 1)],
        "Context heads off": [(1, 2)],
    }
    neutral = prompt_stream.change_for(app, llama, [], sheep_run, None, 0.0)
    assert not neutral.active
    turned = prompt_stream.change_for(app, llama, ["L2H0"], sheep_run, "dial", 0.5)
    assert turned.says() == "1 head off, dial +0.50 toward many"
    with turned.on(llama), wb.ablate(llama, heads=[(0, 1)]):
        pass
    with pytest.raises(NotFound, match="control"):
        prompt_stream.change_for(app, llama, [], sheep_run, "knob", 0.5)
    with (
        pytest.raises(BadInput, match="from -1 to 1"),
        prompt_stream.change_for(app, llama, [], sheep_run, None, 3).on(llama),
    ):
        pass


def test_a_run_of_other_weights_is_refused(app, sheep_run, gpt2):
    result = finished_runs.open_cached(app.entry(sheep_run).path)
    with pytest.raises(BadInput, match="other weights"):
        model_change.controls_of(result, gpt2)


def test_roles_come_from_the_knowledge_conflict_table_too(llama):
    roles = finished_runs.roles_of(synthetic_result(n_layers=3, n_heads=4), llama)
    assert {role.name for role in roles} == {"memory", "context"}


# -- answering pages -------------------------------------------------------------------------------


def test_answers_come_in_steps_and_end_with_the_whole_text(app, llama):
    steps = list(
        Answerer(app).answer("tab", PromptRequest(PROMPT, "Paris", "Rome", off=("L0H0",), length=6))
    )
    last = steps[-1].answer
    assert "1 head off" in last
    assert "caret" not in last
    assert last.count('class="text"') == 2
    assert not any(step.error_box for step in steps)


def test_an_older_request_is_dropped(app):
    answerer = Answerer(app)
    older = answerer.answer("tab", PromptRequest(PROMPT, length=6))
    done: list[prompt_stream.UIUpdate] = []
    waiting = threading.Thread(target=lambda: done.extend(older))
    waiting.start()
    list(answerer.answer("tab", PromptRequest("The capital of Italy is")))
    waiting.join(60)
    assert done == []


def test_tickets_are_per_tab_ordered_by_the_browser_and_bounded():
    tickets = Tickets(keep=2)
    first, other = tickets.take("a", 1.0), tickets.take("b", 9.0)
    third = tickets.take("a", 3.0)
    overtaken = tickets.take("a", 2.0)
    assert (first(), overtaken(), third(), other()) == (False, False, True, True)
    tickets.take("c", 1.0)
    assert len(tickets._latest) == 2


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (PromptRequest(PROMPT, off=("L99H0",)), "L99H0"),
        (PromptRequest(PROMPT, run="<b>x</b>"), "&lt;b&gt;x&lt;/b&gt;"),
    ],
)
def test_bad_input_is_a_message(app, asked, says):
    (step,) = list(Answerer(app).answer("tab", asked))
    assert says in step.error_box
    assert "data-wb-dismiss" in step.error_box
    assert step.answer is None


def test_what_nobody_expected_is_a_message_without_details(app, monkeypatch):
    monkeypatch.setattr(prompt_output, "read_prompt", lambda *a: 1 / 0)
    (step,) = list(Answerer(app).answer("tab", PromptRequest(PROMPT)))
    assert "ZeroDivisionError" in step.error_box
    assert "Traceback" not in step.error_box


def test_an_empty_prompt_shows_what_to_do(app):
    (step,) = list(Answerer(app).answer("tab", PromptRequest("  ")))
    assert "Type a prompt" in step.answer


def test_while_a_run_has_the_model_the_page_says_so(app, llama, monkeypatch):
    real = llama.lock.acquire

    class Busy:
        tries = 0

        def acquire(self, timeout=None):
            Busy.tries += 1
            return Busy.tries > 1 and real()

        def release(self):
            real_lock.release()

    real_lock = llama.lock
    monkeypatch.setattr(llama, "lock", Busy())
    monkeypatch.setattr(
        prompt_output, "read_prompt", lambda *a: prompt_output.PromptOutput([], [], torch.zeros(0))
    )
    steps = list(Answerer(app).answer("tab", PromptRequest(PROMPT)))
    assert Busy.tries == 2
    assert steps[-1].answer is not None


# -- drawing ---------------------------------------------------------------------------------------


def test_tokens_show_their_spaces_and_are_escaped():
    assert html_parts.token_html(" a\n") == '<span class="ws">·</span>a<span class="ws">↵</span>'
    assert "<script>" not in html_parts.token_html("<script>")
    assert "empty" in html_parts.token_html("")


def test_hostile_text_is_only_text_everywhere(llama):
    looked = prompt_output.PromptOutput(
        [(HOSTILE, 0.5)],
        [prompt_output.PromptAnswer(HOSTILE, HOSTILE, 0.5, -1.0, 2)] * 2,
        torch.zeros(0),
    )
    slot = ModelSlot(HOSTILE)
    job = Job(HOSTILE, NoParams(), slot, state="done", run_id=HOSTILE, says=HOSTILE)
    job.findings = {HOSTILE: {"value": 1.0, "says": HOSTILE, "unit": HOSTILE}}
    failed = Job(
        "x", NoParams(), slot, state="failed", error=WorkbenchError(HOSTILE, HOSTILE, HOSTILE)
    )
    running = Job(HOSTILE, NoParams(), slot, state="running", says=HOSTILE)
    pages = [
        html_parts.Comparison(looked, looked, HOSTILE, (HOSTILE, HOSTILE)).html(),
        job_cards.jobs_html([job, failed, running]),
        html_parts.error(BadInput(HOSTILE, HOSTILE, HOSTILE)),
        html_parts.status_line(HOSTILE),
        html_parts.broken_html({HOSTILE: HOSTILE}),
    ]
    for page in pages:
        assert "<script" not in page
        assert "<img" not in page


def test_the_grid_of_a_model(llama):
    assert head_buttons.value_for(None)["layers"] == 0
    role = HeadRole("memory", "memory head", "Memory heads off", "memory")
    value = head_buttons.value_for(llama, ["L0H1"], {role: [(2, 3)]})
    assert value == {
        "layers": 3,
        "heads": 4,
        "kv": 2,
        "off": ["L0H1"],
        "roles": [{"name": "memory", "head": "memory head", "colour": "memory", "heads": ["L2H3"]}],
    }
    assert head_buttons.role_off(value, "memory")["off"] == ["L2H3"]
    assert head_buttons.role_off(value, "context")["off"] == []


def test_gradios_page_gets_our_head_and_names_nothing_foreign():
    foreign = (
        '<meta property="og:image"\n content="https://x/y.jpg" /><link rel="manifest" href="/m">'
    )
    page = inject(f'<head>{foreign}</head><body style="a">x</body>')
    assert "https://" not in page
    assert "manifest" not in page
    assert page.index("workbench.js") < page.index("</head>")
    assert page.index("<body") < page.index("wb-header") < page.index("x</body>")
