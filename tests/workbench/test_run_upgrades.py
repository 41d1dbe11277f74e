"""Runs of an older format open under today's names, and their files stay as they are."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench import run_folder, run_upgrades
from workbench.errors import BadRun
from workbench.result import Finding, Result
from workbench.upgrade_step import Upgrade, new_name

UPGRADE = Upgrade(
    tables={"proof": "held_out"},
    columns={"held_out": {"said": "generated", "kept": "said"}},
    values={"held_out": {"half": {"prove": "held_out"}}},
    arrays={"slopes": "gradients"},
    dims={"how": "method"},
    labels={"method": {"everywhere": "zero_all"}},
    findings={"known": "closed_book"},
    keys={"closed_book": {"chance": "random"}},
    params={"traced": "patched"},
    param_values={"patched": {"everywhere": "zero_all"}},
)


@pytest.fixture
def upgrade(monkeypatch):
    monkeypatch.setitem(run_upgrades.UPGRADES, 1, {"toy": UPGRADE})


def folder_of_format_1(tmp_path, analysis="toy", **tables):
    """A run as an earlier version wrote it."""
    result = Result(analysis, params={"traced": "everywhere", "seed": 0})
    finding = {"chance": 0.5, "n": 2}
    result.add(Finding("known", finding, "Half of them.", interval={"chance": (0.1, 0.9)}))
    result.tables["proof"] = pd.DataFrame(
        {"half": ["choose", "prove"], "said": ["a", "b"], "kept": [0.25, np.nan]}
    )
    result.tables |= tables
    result.arrays["slopes"] = xr.DataArray(
        np.arange(4, dtype="float32").reshape(2, 2),
        dims=("how", "layer"),
        coords={"how": ["everywhere", "mean"], "layer": [0, 1]},
        attrs={"unit": "nats"},
    )
    folder = result.save(tmp_path / "run")
    file = folder / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 1}))
    return folder


def files_of(folder):
    return {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_an_older_run_opens_under_todays_names(tmp_path, upgrade):
    folder = folder_of_format_1(tmp_path)
    before = files_of(folder)
    result = Result.open(folder)
    assert files_of(folder) == before
    assert result.params == {"patched": "zero_all", "seed": 0}
    finding = result.findings["closed_book"]
    assert finding.name == "closed_book"
    assert finding.values == {"random": 0.5, "n": 2}
    assert finding.interval == {"random": (0.1, 0.9)}
    pd.testing.assert_frame_equal(
        result.tables["held_out"],
        pd.DataFrame(
            {"half": ["choose", "held_out"], "generated": ["a", "b"], "said": [0.25, np.nan]}
        ),
    )
    array = result.arrays["gradients"]
    assert array.name == "gradients"
    assert array.dims == ("method", "layer")
    assert array.coords["method"].values.tolist() == ["zero_all", "mean"]
    assert array.coords["layer"].values.tolist() == [0, 1]
    assert array.values.tolist() == [[0, 1], [2, 3]]
    assert array.attrs == {"unit": "nats"}
    assert set(result.tables) == {"held_out"}
    assert set(result.arrays) == {"gradients"}


def test_a_listing_says_todays_names_too(tmp_path, upgrade):
    index = run_folder.read_index(folder_of_format_1(tmp_path))
    assert set(index["findings"]) == {"closed_book"}
    assert index["params"]["patched"] == "zero_all"


def test_it_is_saved_in_todays_format_and_upgraded_once(tmp_path, upgrade):
    again = Result.open(folder_of_format_1(tmp_path)).save(tmp_path / "again")
    assert json.loads((again / "result.json").read_text())["format"] == run_folder.FORMAT
    # "said" has become another column's name; a second upgrade would rename that one as well.
    assert list(Result.open(again).tables["held_out"]) == ["half", "generated", "said"]


def test_an_unknown_analysis_keeps_its_names(tmp_path, upgrade):
    result = Result.open(folder_of_format_1(tmp_path, "someone-elses"))
    assert result.params == {"traced": "everywhere", "seed": 0}
    assert list(result.tables["proof"]) == ["half", "said", "kept"]
    assert result.arrays["slopes"].dims == ("how", "layer")
    assert result.findings["known"].values == {"chance": 0.5, "n": 2}


def test_steps_follow_one_another(tmp_path, monkeypatch):
    second = Upgrade(tables={"held_out": "evaluation"}, params={"patched": "n_patched"})
    monkeypatch.setattr(run_folder, "FORMAT", 3)
    monkeypatch.setattr(run_upgrades, "UPGRADES", {1: {"toy": UPGRADE}, 2: {"toy": second}})
    folder = folder_of_format_1(tmp_path)
    result = Result.open(folder)
    assert set(result.tables) == {"evaluation"}
    assert result.params == {"n_patched": "zero_all", "seed": 0}


def test_what_is_too_old_is_refused(tmp_path, monkeypatch):
    folder = folder_of_format_1(tmp_path)
    monkeypatch.setattr(run_folder, "FORMAT", 3)
    monkeypatch.setattr(run_upgrades, "UPGRADES", {2: {}})
    for read in (Result.open, run_folder.read_index):
        with pytest.raises(BadRun, match=r"of format 1, which .* cannot upgrade") as error:
            read(folder)
        assert "format 2 to 3" in str(error.value)
        assert error.value.do


@pytest.mark.parametrize(
    "change",
    [
        lambda result: result.tables.update(held_out=result.tables["proof"]),
        lambda result: result.tables["proof"].insert(0, "generated", ["x", "y"]),
        lambda result: result.arrays.update(gradients=result.arrays["slopes"]),
        lambda result: result.add(Finding("closed_book", 1.0, "")),
        lambda result: result.add(Finding("known", {"chance": 1.0, "random": 2.0}, "")),
        lambda result: result.params.update(patched=1),
    ],
)
def test_nothing_is_lost_to_a_name_that_is_taken(tmp_path, upgrade, change):
    old = Result.open(folder_of_format_1(tmp_path, "someone-elses"))
    old.analysis = "toy"
    change(old)
    folder = old.save(tmp_path / "doubled")
    file = folder / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 1}))
    with pytest.raises(BadRun, match="already has something called"):
        Result.open(folder)


def test_every_step_leads_to_the_current_format():
    assert set(run_upgrades.UPGRADES) == set(range(1, run_folder.FORMAT))


@pytest.mark.parametrize("analysis", ["paragraph-memorization", "function-tokens"])
@pytest.mark.parametrize(
    ("older", "today"),
    [
        ("holds", "replicates"),
        ("comes out again", "replicates"),
        ("holds in part", "in part"),
        ("does not hold", "does not replicate"),
        ("does not come out", "does not replicate"),
        ("cannot be told", "cannot be told"),
    ],
)
def test_verdicts_of_older_runs_are_in_todays_words(tmp_path, analysis, older, today):
    columns = ["claim", "in the paper", "here", "verdict", "how sure"]
    folder = folder_of_format_1(
        tmp_path, analysis, claims=pd.DataFrame([["A", "1", "2", older, "±1"]], columns=columns)
    )
    table = Result.open(folder).tables["claims"]
    assert list(table) == ["claim", "paper", "measured", "verdict", "uncertainty"]
    assert list(table.iloc[0]) == ["A", "1", "2", today, "±1"]


def test_claims_of_older_runs_of_function_tokens_are_todays(tmp_path):
    from analyses.features.function_tokens.claims import CLAIMS

    # Every claim as it was worded in format 1, in the order of the table.
    older = [
        "10 tokens reach most features of the middle layer",
        "Features are reached by them in a way that random directions are not",
        "They reach more features than as much text of content tokens",
        "In equally many occurrences a function token activates more features than a content token",
        "It is the tokens that reach them, not the text they stand in",
        "A content token's features are active again at function tokens more than at content"
        " tokens",
        "The features that are active again carry the answer",
        "They carry it at the function token more than at the subject",
        "Steering at the final function token changes the answer",
        "What matters there is that it is a function token, not that it is the last",
        "A function token far from the answer carries it more than a content token nearer to it",
        "F→C has the highest loss",
        "F→C is harder than the rarity of its targets explains",
        "In training, function tokens are predicted first",
        "In training more and more features come alive",
        "Function tokens hold most of the edges, and more and more of them",
    ]
    folder = folder_of_format_1(tmp_path, "function-tokens", claims=pd.DataFrame({"claim": older}))
    table = Result.open(folder).tables["claims"]
    assert table["claim"].tolist() == [claim.text for claim in CLAIMS]


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("mixed L6", "shuffled L6"),
        ("mixed resid_post L3", "shuffled resid_post L3"),
        ("mixed", "off"),
        ("degree L6", "degree L6"),
    ],
)
def test_names_that_begin_alike_are_renamed_together(name, renamed):
    assert new_name(name, {"mixed": "off", "mixed *": "shuffled *"}) == renamed


def test_columns_and_keys_with_labels_are_renamed(tmp_path, monkeypatch):
    upgrade = Upgrade(
        columns={"tokens": {"mixed *": "shuffled *"}}, keys={"equal": {"gap_*": "difference_*"}}
    )
    monkeypatch.setitem(run_upgrades.UPGRADES, 1, {"labels": upgrade})
    result = Result("labels")
    result.add(Finding("equal", {"gap_L6": 1.5}, "", interval={"gap_L6": (1.0, 2.0)}))
    result.tables["tokens"] = pd.DataFrame({"mixed L6": [3], "mixed L15": [4]})
    file = result.save(tmp_path / "run") / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 1}))
    opened = Result.open(tmp_path / "run")
    assert opened.findings["equal"].values == {"difference_L6": 1.5}
    assert opened.findings["equal"].interval == {"difference_L6": (1.0, 2.0)}
    assert opened.tables["tokens"].to_dict("list") == {"shuffled L6": [3], "shuffled L15": [4]}


@pytest.mark.parametrize(
    ("analysis", "older", "today"),
    [
        (
            "knowledge-conflict",
            {"transfer": False, "seed": 1},
            {"parts": ["rates", "heads", "pruning", "side_effects", "dial"], "seed": 1},
        ),
        (
            "extraction",
            {"membership": False, "checkpoints": True, "decode": 50},
            {
                "parts": ["verbatim", "near_verbatim", "reference", "checkpoints", "compression"],
                "decode": 50,
            },
        ),
        (
            "paragraph-memorization",
            {"traced": 0, "edits": 4},
            {"parts": ["passages", "triggers", "gradients", "heads", "edits"], "edits": 4},
        ),
        (
            "function-tokens",
            {"facts": 0, "untrained": 100, "training": ""},
            {"parts": ["coverage", "untrained"], "untrained": 100},
        ),
        ("inside", {"prompt": "a"}, {"prompt": "a"}),
    ],
)
def test_switches_and_zeros_of_older_runs_are_parts(analysis, older, today):
    from workbench import registry

    index = {"analysis": analysis, "findings": {}, "params": older}
    params = run_upgrades.upgrade_index(index, run_upgrades.UPGRADES[1][analysis])["params"]
    assert params == today
    registry.get(analysis).parse(params)
    again = run_upgrades.upgrade_index({**index, "params": params}, Upgrade())
    assert again["params"] == params


def test_parts_of_older_runs_are_those_that_there_are():
    from workbench import registry

    for analysis, parts in run_upgrades.PARTS.items():
        today = [part.name for part in registry.get(analysis).parts]
        assert list(parts) == [name for name in today if name in parts]
        assert set(parts) <= set(today)
