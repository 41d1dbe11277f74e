"""Analyses are found through entry points, a third party's like ours, and one broken package
hides no other.
"""

from __future__ import annotations

import contextlib
import sys
import textwrap

import pytest

from workbench import registry
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.progress import Progress
from workbench.registry import Control
from workbench.result import Result

GOOD = """
from pydantic import BaseModel, Field
from workbench.result import Finding, Result

name, question = "{name}", "How many vowels does the prompt have?"

class Params(BaseModel, frozen=True, extra="forbid"):
    prompt: str = Field("The safe", description="Text to count in")
    most: int = Field(3, ge=1, le=9, description="Where to stop")

def run(model, params, progress):
    progress(0.5, "counting")
    found = Result(name)
    found.add(Finding("vowels", sum(c in "aeiou" for c in params.prompt), "That many."))
    return found

def views(result):
    return {{}}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution with analyses on the path: install("pkg", {"its-name": source or None
    for no such module}).
    """
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def forget():
        registry._entry_points.cache_clear()
        registry.get.cache_clear()

    def add(package, analyses):
        info = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = ["[workbench.analyses]"]
        for number, (name, source) in enumerate(analyses.items()):
            module = f"{package.replace('-', '_')}_{number}"
            lines.append(f"{name} = {module}")
            if source is not None:
                (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        forget()

    yield add
    for module in set(sys.modules) - before:
        if module.startswith(("vowels_pkg", "broken_pkg", "rival_pkg")):
            del sys.modules[module]
    forget()


def test_a_third_party_analysis_is_listed_parsed_and_run(install):
    install("vowels-pkg", {"count-vowels": GOOD.format(name="count-vowels")})
    good, _ = registry.all_analyses()
    assert "count-vowels" in [one.name for one in good]
    one = registry.get("Count_Vowels")
    assert (one.package, one.question) == ("vowels-pkg", "How many vowels does the prompt have?")
    result = one.run(None, one.parse({"prompt": "banana", "most": "2"}), Progress())
    assert isinstance(result, Result)
    assert result.findings["vowels"].value == 3
    assert one.views(result) == {}
    assert one.unavailable_reason(None) is None
    assert one.controls(result) == {}


BROKEN = {
    "will-not-import": "raise RuntimeError('no licence')",
    "leaves": "raise SystemExit(3)",
    "bad-syntax": "def run(:",
    "is-missing": None,
    "is-empty": "",
    "no-params": GOOD.format(name="no-params") + "\nParams = dict",
    "no-run": GOOD.format(name="no-run") + "\nrun = 3",
    "no-question": GOOD.format(name="no-question") + "\nquestion = None",
    "two-names": GOOD.format(name="another-name"),
}


def test_broken_packages_hide_no_other(install):
    install("broken-pkg", BROKEN)
    install("vowels-pkg", {"count-vowels": GOOD.format(name="count-vowels")})
    good, broken = registry.all_analyses()
    assert "count-vowels" in [one.name for one in good]
    assert set(BROKEN) <= set(broken)
    for name in BROKEN:
        assert "broken-pkg" in broken[name]
        with pytest.raises(WorkbenchError, match="broken-pkg") as error:
            registry.get(name)
        assert error.value.do
    assert "no licence" in broken["will-not-import"]
    assert "Params" in broken["no-params"]
    assert "another-name" in broken["two-names"]


def test_a_newcomer_cannot_replace_ours(install):
    install("rival-pkg", {"knowledge-conflict": GOOD.format(name="knowledge-conflict")})
    entry = registry._entry_points()["knowledge-conflict"]
    assert entry.dist.name == registry.OURS


def test_an_unknown_analysis_names_the_nearest(install):
    install("vowels-pkg", {"count-vowels": GOOD.format(name="count-vowels")})
    with pytest.raises(NotFound, match="Did you mean 'count-vowels'"):
        registry.get("count-vowel")


def test_parameters_that_do_not_fit_are_all_named(install):
    install("vowels-pkg", {"count-vowels": GOOD.format(name="count-vowels")})
    one = registry.get("count-vowels")
    with pytest.raises(NotFound, match="Did you mean 'prompt'"):
        one.parse({"promt": "x"})
    with pytest.raises(BadInput, match=r"prompt: .*most: ") as error:
        one.parse({"prompt": 3, "most": 10})
    assert "Where to stop" in str(error.value)
    assert "workbench analyses count-vowels" in str(error.value)
    for half in ("a \ud83d", ["a", "\udce9"], {"deep": ["\udce9"]}):
        with pytest.raises(BadInput, match="The parameter prompt is not valid Unicode"):
            one.parse({"prompt": half})


@pytest.mark.parametrize("value", [-1.01, 2, float("nan"), float("inf")])
def test_a_control_stays_between_its_ends(value):
    moved = []

    @contextlib.contextmanager
    def apply(model, value):
        moved.append((model, value))
        yield

    dial = Control("Dial", apply, -1, 1, 0, "memory", "context")
    with dial("m", 0.5):
        assert moved == [("m", 0.5)]
    with pytest.raises(BadInput, match="from -1 to 1"):
        dial("m", value)
    assert len(moved) == 1


def test_a_result_gives_its_controls_by_name(install):
    source = GOOD + textwrap.dedent("""
        def controls(result):
            from workbench.registry import Control
            return {{"dial": Control("Dial", None, -1, 1, 0, "few", "many")}}
    """)
    install(
        "vowels-pkg",
        {
            "count-vowels": source.format(name="count-vowels"),
            "count-words": GOOD.format(name="count-words"),
        },
    )
    assert Result("count-vowels").control("dial").label == "Dial"
    assert not hasattr(Result("count-vowels"), "dial")
    with pytest.raises(NotFound, match="one of dial") as error:
        Result("count-vowels").control("dail")
    assert error.value.do == "Did you mean 'dial'?"
    with pytest.raises(NotFound, match="gives no controls"):
        Result("count-words").control("dial")


def test_an_analysis_in_the_words_of_the_first_contract_still_works(install):
    source = GOOD + "\ndef unfit(model):\n    return None if model else 'it has no vowels'\n"
    both = source + "\ndef unavailable_reason(model):\n    return 'said today'\n"
    install(
        "vowels-pkg",
        {
            "count-vowels": source.format(name="count-vowels"),
            "count-words": both.format(name="count-words"),
        },
    )
    old = registry.get("count-vowels")
    assert old.unavailable_reason(None) == "it has no vowels"
    assert old.unavailable_reason("a model") is None
    result = old.run(None, old.parse({"prompt": "banana"}), Progress())
    assert result.findings["vowels"].value == 3
    assert old.views(result) == {}
    assert old.controls(result) == {}
    assert registry.get("count-words").unavailable_reason(None) == "said today"


def test_what_an_analysis_says_to_the_playground_must_be_in_its_words(install):
    source = GOOD + "\nplayground = {{'tab': 'vowels'}}\n"
    install(
        "vowels-pkg",
        {
            "count-vowels": source.format(name="count-vowels"),
            "count-words": GOOD.format(name="count-words"),
        },
    )
    with pytest.raises(WorkbenchError, match="no proper playground"):
        registry.get("count-vowels")
    said = registry.get("count-words").playground
    assert said.form is None
    assert said.roles == ()
