"""What a person looks at, and the links it is shared by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.selection import ADDRESSED, Selection, head_name, parse_head


def test_choosing_replaces_and_adding_joins():
    one = Selection()
    one.choose(1, 2)
    one.choose(3, 4, add=True)
    assert one.heads == [(1, 2), (3, 4)]
    assert one.head == (3, 4)
    one.choose(5, 6)
    assert one.heads == [(5, 6)]


def test_adding_again_leaves_the_set_and_the_one_before_is_primary():
    one = Selection()
    one.choose(1, 2)
    one.choose(3, 4, add=True)
    one.choose(3, 4, add=True)
    assert (one.heads, one.head) == ([(1, 2)], (1, 2))
    one.choose(1, 2, add=True)
    assert (one.heads, one.head) == ([], None)


def test_watchers_hear_of_set_and_primary_at_once():
    one, heard = Selection(), []
    one.param.watch(
        lambda *events: heard.append({event.name: event.new for event in events}), ["head", "heads"]
    )
    one.choose(1, 2)
    one.clear()
    assert heard == [{"heads": [(1, 2)], "head": (1, 2)}, {"heads": [], "head": None}]


def test_two_pages_do_not_share_a_selection():
    one, other = Selection(), Selection()
    one.choose(1, 2)
    assert other.heads == []


@given(layer=st.integers(0, 999), head=st.integers(0, 999), prompt=st.integers(0, 10**9 - 1))
def test_a_link_brings_back_what_it_was_made_from(layer, head, prompt):
    one, other = Selection(prompt=prompt), Selection()
    one.choose(layer, head)
    other.from_query(one.to_query())
    assert (other.head, other.prompt) == ((layer, head), prompt)
    assert parse_head(head_name(layer, head)) == (layer, head)
    assert parse_head(head_name(layer, head).lower() + " ") == (layer, head)


HEADS = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=6, unique=True)


@given(
    heads=HEADS,
    pos=st.none() | st.integers(0, 9999),
    layer=st.none() | st.integers(0, 99),
    feature=st.none() | st.tuples(st.text(min_size=1), st.integers(0, 10**6)),
)
def test_a_link_holds_everything_that_is_chosen(heads, pos, layer, feature):
    one, other = Selection(pos=pos), Selection(pos=7, layer=3, feature=("7", 9))
    for n, head in enumerate(heads):
        one.choose(*head, add=n > 0)
    one.param.update(feature=feature, **({} if layer is None else {"layer": layer}))
    other.choose(90, 90)
    other.restore(one.to_query())
    assert {n: getattr(other, n) for n in ADDRESSED} == {n: getattr(one, n) for n in ADDRESSED}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "L",
        "LH",
        "L2H",
        "H3",
        "L-1H2",
        "L1.5H2",
        "L²H3",
        "L1H" + "9" * 5000,
        "<script>",
        "LL1H2",
        "L1H2H3",
    ],
)
def test_what_is_no_head_is_none(text):
    assert parse_head(text) is None


@given(
    st.dictionaries(
        st.sampled_from(["prompt", "head", "pos", "layer", "feature", "x"]),
        st.text() | st.integers() | st.none() | st.lists(st.binary()),
    )
)
def test_no_link_whatever_breaks_a_page(query):
    one = Selection()
    one.from_query(query)
    assert one.prompt >= 0


def test_a_bad_link_changes_nothing():
    one = Selection(prompt=4)
    one.choose(1, 2)
    one.from_query({"prompt": "²", "head": "L٣,,", "feature": "9@", "layer": "-2"})
    one.from_query({"prompt": "-1"})
    one.from_query({"prompt": "9" * 5000})
    one.from_query({})
    assert (one.prompt, one.head) == (4, (1, 2))
