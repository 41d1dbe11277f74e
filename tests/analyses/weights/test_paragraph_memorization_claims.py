"""What `paragraph-memorization` must show on the organism: for `make verify`, it takes minutes."""

from __future__ import annotations

from typing import Any

import pytest

import workbench as wb
from workbench.result import Result

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def result(organism: Any) -> Result:
    asked = {"passages": 8, "draws": 1, "traced": 1, "edits": 1, "seed": 0}
    return wb.run("paragraph-memorization", organism, asked)


def test_what_has_to_be_shown_on_the_organism(result: Result) -> None:
    """The claims that the analysis stands on, each on passages that had no part in choosing."""
    found = {name: finding.values for name, finding in result.findings.items()}
    unlearned = found["unlearned"]
    assert unlearned["contrast"] <= 0.5 * unlearned["before"]
    assert unlearned["others_retained"] >= 0.8
    # As many random weights forget it too, given a larger rate of their own; of one passage nothing
    # is concluded.
    rates = result.tables["weight_edits"].set_index(["aim", "mask"])["learning_rate"]
    assert all(rates[aim, "random"] > rates[aim, "contrast"] for aim in ("unlearn", "rewrite"))
    claims = result.tables["claims"].set_index("claim")["verdict"]
    assert claims["As many random weights have no effect"] == "cannot be told"
    assert unlearned["neutral_loss"] < unlearned["neutral_loss_before"] + 0.1
    off = found["heads"]
    assert off["after"] < 0.5 * off["before"]
    assert off["after"] < off["random_median"] - 10
    assert off["neutral_loss_after"] < off["neutral_loss_before"] + 0.2
    assert found["triggers"]["memorized"] < found["triggers"]["not_memorized"]
