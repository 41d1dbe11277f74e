"""What an analysis of a third party brings along: its tab, and the roles of heads."""

from __future__ import annotations

import pytest

from tests.helpers import fake_package
from ui.playground import app as playground
from ui.playground import finished_runs
from workbench.result import Result

FORM = """
from workbench.playground import PromptForm

class Params(Params):
    prompt: str = Field("Baa", description="What the sheep say")

playground = Playground(
    form=PromptForm(
        tab="TAB",
        title="Sheep",
        button="Count",
        empty="None yet.",
        frame="The sheep",
        limit="A few words",
    ),
    roles=(HeadRole("sheep", "sheep head", "Sheep heads off", "other"),),
    heads=lambda result: {"sheep": [(0, 1), (99, 0)]},
)
"""


def labels(page) -> list[str]:
    return [block["props"].get("label") for block in page.config["components"]]


@pytest.mark.parametrize(("tab", "shown"), [("sheep", True), ("trace", False)])
def test_an_analysis_of_a_third_party_brings_its_tab_and_roles(
    app, tmp_path_factory, monkeypatch, tab, shown
):
    before = [form.tab for _, form in playground.forms()]
    assert before == ["trace", "from", "audit", "features", "pairs", "slots", "edit"]
    source = fake_package.SOURCE + FORM.replace("TAB", tab)
    fake_package.install(tmp_path_factory.mktemp("package"), monkeypatch, source)
    try:
        tabs = {form.tab: analysis.name for analysis, form in playground.forms()}
        # A tab that is called like one of ours is not shown in its place.
        assert tabs["trace"] == "inside"
        assert ("count-sheep" in tabs.values()) == shown
        page = playground.blocks(app)
        assert ("Sheep" in labels(page)) == shown
        elements = {block["props"].get("elem_id") for block in page.config["components"]}
        assert ("sheep-run" in elements) == shown
        assert "sheep-answer" not in elements  # its Params have none
        buttons = [block["props"].get("value") for block in page.config["components"]]
        assert {"Memory heads off", "Sheep heads off"} <= set(map(str, buttons))
    finally:
        fake_package.forget()


def test_only_heads_that_the_model_has_are_outlined(app, tmp_path_factory, monkeypatch, llama):
    source = fake_package.SOURCE + FORM.replace("TAB", "sheep")
    fake_package.install(tmp_path_factory.mktemp("package"), monkeypatch, source)
    try:
        roles = finished_runs.roles_of(Result("count-sheep"), llama)
        assert [(role.off, heads) for role, heads in roles.items()] == [
            ("Sheep heads off", [(0, 1)])
        ]
    finally:
        fake_package.forget()
