"""The views of knowledge-conflict on a synthetic run: whole, partial and hostile."""

from __future__ import annotations

import pytest

from analyses.context.knowledge_conflict import head_view, views
from tests.helpers.synthetic import synthetic_result
from workbench.draw.view import still_parts
from workbench.result import Result

TITLES = ["Rates", "Heads", "Depth", "Facts", "Dial", "How many heads", "Cost", "Transfer"]


def test_every_view_has_a_still_form() -> None:
    result = synthetic_result()
    assert list(views(result)) == TITLES
    for view in views(result).values():
        assert list(still_parts(view))


@pytest.mark.parametrize("title", TITLES)
def test_a_run_with_nothing_in_it_says_why(title: str) -> None:
    empty = Result("knowledge-conflict", tables={}, arrays={})
    parts = list(still_parts(views(empty)[title]))
    assert any("wb-empty" in str(part) for part in parts)
    assert views(empty)[title].__panel__() is not None


def test_transfer_is_hidden_with_its_reason() -> None:
    assert "option" in views(synthetic_result(transfer=False))["Transfer"].why_not
    assert not views(synthetic_result())["Transfer"].why_not


def test_the_claim_says_how_many_heads_were_compared_and_shows_the_control() -> None:
    text = " ".join(
        str(p) for p in views(synthetic_result())["Rates"].still() if isinstance(p, str)
    )
    assert "24 heads were compared; picked: 3 memory heads and 5 context heads" in text
    assert "on 6 prompts" in text
    assert "of 20 random sets of 5 heads 0 reach that" in text


def test_the_heads_view_follows_the_selection() -> None:
    result = synthetic_result()
    live = views(result)["Heads"].__panel__()
    assert result.selection.head == (4, 1)  # the strongest, when nothing was chosen before
    result.selection.choose(2, 0)
    panes = [str(p.object) for p in live.select() if type(p).__name__ == "HTML"]
    assert any("L2H0" in text and "context head 1" in text for text in panes)
    result.selection.prompt = 3
    panes = [str(p.object) for p in live.select() if type(p).__name__ == "HTML"]
    assert any("L2H0 on prompt 3" in text for text in panes)
    result.selection.clear()


def test_a_hostile_run_stays_text() -> None:
    result = synthetic_result(hostile=True)
    for view in views(result).values():
        for part in still_parts(view):
            assert "<script>window" not in str(part) or not hasattr(part, "__html__")
    assert "<img src=x" not in str(head_view.attention_strip(result, 4, 1, 0))
