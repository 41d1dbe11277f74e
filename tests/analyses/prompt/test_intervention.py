"""What *Try a prompt* shows, as a run."""

from __future__ import annotations

import pytest

from analyses.prompt import intervention
from analyses.prompt.intervention.params import Params
from hooks.prompt_output import read_prompt
from ui.playground import save_prompt
from ui.playground.prompt_stream import PromptRequest
from workbench.errors import BadInput
from workbench.heads import parse_head
from workbench.progress import Progress
from workbench.views import bound

PROMPT = "The capital of France is"


def ran(model, **values):
    params = Params(prompt=PROMPT, length=3, **values)
    result = intervention.run(model, params, Progress())
    assert not list(intervention.SCHEMA.problems(result))
    return result


def test_both_sides_are_what_the_page_shows(llama):
    import workbench as wb

    result = ran(llama, heads=["L1H2", "L0H0"])
    answers = result.tables["answers"].set_index("side")
    before = read_prompt(llama, PROMPT, ("Paris", "Rome"))
    with wb.ablate(llama, heads=[(0, 0), (1, 2)], method="zero"):
        after = read_prompt(llama, PROMPT, ("Paris", "Rome"))
        text = llama.generate(PROMPT, max_new_tokens=3)
    assert answers.loc["memory", "p"] == before.answers[0].p_first
    assert answers.loc["context", "changed_p"] == after.answers[1].p_first
    assert list(result.tables["next_tokens"]["changed_token"]) == [t for t, _ in after.tokens]
    assert result.tables["texts"]["text"][1] == text
    both = result.tables["likeliest"]
    for column, side in (("p", before), ("changed_p", after)):
        assert set(side.tokens) <= set(zip(both["token"], both[column], strict=True))
    assert both[["p", "changed_p"]].max(axis=1).is_monotonic_decreasing
    assert result.findings["memory_answer"].value == {
        "unchanged": before.answers[0].p_first,
        "changed": after.answers[0].p_first,
    }
    assert "L0H0 and L1H2 off: " in result.findings["next_token"].says
    assert list(bound(intervention.VIEWS, result, intervention.SCHEMA)) == ["Before and after"]


def test_random_heads_are_what_ablating_them_gives(llama):
    import workbench as wb

    result = ran(llama, heads=["L1H2", "L0H0"], context="", seed=3)
    drawn = result.tables["random_heads"]
    assert len(drawn) == result.findings["random_heads"].value["n"] == 20
    assert "context_p" not in drawn
    top = read_prompt(llama, PROMPT).next_logp.argmax()
    for row in drawn.head(3).itertuples():
        heads = [parse_head(name) for name in row.heads.split()]
        assert not {(1, 2), (0, 0)} & set(heads)
        with wb.ablate(llama, heads=heads, method="zero"):
            other = read_prompt(llama, PROMPT, ("Paris",))
        assert row.p == pytest.approx(other.next_logp[top].exp().item(), rel=1e-4)
        assert row.memory_p == pytest.approx(other.answers[0].p_first, rel=1e-4)
        assert row.token == other.tokens[0][0]
    again = ran(llama, heads=["L1H2", "L0H0"], context="", seed=3)
    assert again.tables["random_heads"].equals(drawn)
    other = ran(llama, heads=["L1H2", "L0H0"], context="", seed=4)
    assert not other.tables["random_heads"]["heads"].equals(drawn["heads"])


def test_where_all_heads_are_off_there_are_no_others(llama):
    every = [f"L{i}H{j}" for i in range(llama.n_layers) for j in range(llama.n_heads)]
    result = ran(llama, heads=every)
    assert "random_heads" not in result.tables
    assert "random_heads" not in result.findings


def test_without_a_change_both_sides_are_the_same(llama):
    result = ran(llama, memory="", context="<b>Rome</b>")
    tokens = result.tables["next_tokens"]
    assert (tokens["p"] == tokens["changed_p"]).all()
    assert list(result.tables["answers"]["side"]) == ["context"]
    assert not {"memory_answer", "random_heads"} & set(result.findings)
    assert "nothing was switched off, so it stays" in result.findings["next_token"].says


def test_a_head_that_there_is_not_is_refused(llama):
    with pytest.raises(BadInput, match="no head of"):
        ran(llama, heads=["L99H0"])


def test_what_stands_on_the_page_becomes_parameters():
    heads = {"off": ["L1H0", "L0H3"]}
    page = [PROMPT, None, "Paris", None, heads, None, None, None, 16.0, None]
    values = save_prompt.params(PromptRequest.of_page(*page))
    assert Params(**values).heads == ["L0H3", "L1H0"]
    assert (Params(**values).length, Params(**values).run) == (16, "")
    with pytest.raises(BadInput, match="nothing to save"):
        save_prompt.params(PromptRequest(" "))
