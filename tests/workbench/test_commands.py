"""The command that makes a run again, or one part of it."""

from __future__ import annotations

import shlex

from workbench import commands, registry
from workbench.result import Provenance, Result


def run(**params: object) -> Result:
    defaults = registry.get("extraction").Params().model_dump(mode="json")
    about = Provenance(model={"name": "toy", "source": "models/my toy"}, seed=3)
    return Result("extraction", params={**defaults, **params}, provenance=about)


def test_it_names_what_differs_from_the_defaults_and_nothing_else() -> None:
    words = shlex.split(commands.command_line(run(suffix=20, text="a b", context=[10, 25])))
    assert words[:5] == ["workbench", "run", "extraction", "--model", "models/my toy"]
    assert words[5:7] == ["--seed", "3"]
    assert sorted(words[8::2]) == ["context=[10, 25]", "suffix=20", "text=a b"]


def test_a_part_is_run_on_what_the_run_was_asked_about() -> None:
    words = shlex.split(commands.command_line(run(text="mine", parts=["verbatim"]), "membership"))
    assert "text=mine" in words
    assert "parts=membership" in words
    assert "verbatim" not in " ".join(words)


def test_of_an_analysis_that_is_not_here_all_parameters_are_named() -> None:
    line = commands.command_line(Result("not-installed", params={"k": 3}))
    assert line == "workbench run not-installed --set k=3"
