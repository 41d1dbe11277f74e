"""What older run folders call otherwise. A run is upgraded when it is opened; its files stay.

`UPGRADES[1]["extraction"]` is how an extraction run of format 1 becomes one of format 2: old name
to new name. Whoever renames something raises `run_folder.FORMAT` and adds a step here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.errors import BadRun
from workbench.upgrade_step import CLAIM_COLUMNS, CLAIM_COUNTS, VERDICTS, Names, Upgrade, new_name
from workbench.upgrades_to_2 import EXTRACTION, FUNCTION_TOKENS, SINGLE_PROMPT

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_T = TypeVar("_T")

_STABILITY = {"chosen_again": "selection_frequency", "number_again": "same_size_frequency"}
_TRANSFER = {"told": "testable", "carry_over": "transferred", "other_way": "reversed"}
_KNOWLEDGE_CONFLICT = Upgrade(
    tables={"chosen": "selected_heads"},
    columns={
        "candidates": {"said": "generated", "first_token_right": "first_token_correct"},
        "facts": {"counter": "counterfactual", "said": "generated"},
        "heads": {
            "low": "effect_difference_low",
            "high": "effect_difference_high",
            "everywhere_memory": "zero_all_positions_memory",
            "everywhere_context": "zero_all_positions_context",
        },
        "stability": {"chosen": "selected", "share": "selection_frequency"},
        "transfer": {"kind": "across", "found_on": "selected_on", "used_on": "evaluated_on"},
        "transfer_skipped": {"kind": "across", "why": "reason"},
    },
    values={
        "facts": {"split": {"choose": "select", "prove": "held_out"}},
        "rates": {"split": {"choose": "select", "prove": "held_out"}},
        "k_curve": {"rank_by": {"everywhere": "zero_all_positions"}},
    },
    findings={"untold_memory": "undetermined_memory", "untold_context": "undetermined_context"},
    keys={
        "stability_memory": _STABILITY,
        "stability_context": _STABILITY,
        "transfer_relation_memory": _TRANSFER,
        "transfer_relation_context": _TRANSFER,
        "transfer_format_memory": _TRANSFER,
        "transfer_format_context": _TRANSFER,
    },
    param_values={"rank_by": {"everywhere": "zero_all_positions"}},
)

_EDIT_FINDING = {
    "others_kept": "others_retained",
    "others_kept_gradient": "others_retained_gradient",
    "others_kept_all": "others_retained_all",
    "neutral_before": "neutral_loss_before",
    "neutral": "neutral_loss",
    "rate_contrast": "learning_rate_contrast",
    "rate_gradient": "learning_rate_gradient",
    "rate_random": "learning_rate_random",
    "rate_all": "learning_rate_all",
    "new": "rewrite_match",
    "new_before": "rewrite_match_before",
    "new_gradient": "rewrite_match_gradient",
    "new_random": "rewrite_match_random",
    "new_all": "rewrite_match_all",
}
_PARAGRAPH_CLAIMS = {
    "Replacing one token disturbs memorized passages less than others": (
        "Replacing one prefix token disturbs memorized passages less than others"
    ),
    "Gradients of memorized passages are smaller over all": (
        "Gradients of memorized passages are smaller overall"
    ),
    "Of them, a larger share is in the lower layers than of other passages' gradients": (
        "A larger share of the gradients of memorized passages is in the lower layers"
    ),
    "The heads that matter for memorized passages look at rare tokens": (
        "The heads that matter for memorized passages attend to rare tokens"
    ),
    "A thousandth of the weights, chosen by gradient, is enough to unlearn": (
        "A thousandth of the weights, selected by gradient, is enough to unlearn"
    ),
    "As many random weights do nothing": "As many random weights have no effect",
}
_PARAGRAPH_MEMORIZATION = Upgrade(
    tables={
        "along": "by_position",
        "weights": "weight_gradients",
        "lower": "passage_gradients",
        "twins": "perturbed_twins",
        "proof": "held_out_eval",
        "removals": "weight_edits",
        "curves": "edit_curves",
        "rewritten": "rewrite_targets",
    },
    columns={
        "passages": {"match": "prefix_match", "said": "generated"},
        "tokens": {
            "said": "is_greedy",
            "likeliest": "greedy_token",
            "trigger": "prefix_match_change",
            "trigger_loss": "loss_change",
        },
        "perturbed": {"match": "prefix_match_change", "loss": "loss_change"},
        "by_position": {
            "prefix": "prefix_pos",
            "match": "prefix_match_change",
            "loss": "loss_change",
        },
        "weight_gradients": {"weight": "matrix"},
        "passage_gradients": {"low_max": "lower_share_max", "low_rms": "lower_share_rms"},
        "perturbed_twins": {"impact": "divergence_position", "impact_token": "divergence_token"},
        "heads": {
            "match": "prefix_match_change",
            "loss": "loss_change",
            "other_loss": "other_loss_change",
            "neutral_loss": "neutral_loss_change",
            "rarity_each": "rarity_within",
            "rarity_each_low": "rarity_within_low",
            "rarity_each_high": "rarity_within_high",
            "trigger_share": "trigger_attention",
            "trigger_lift": "trigger_attention_ratio",
        },
        "held_out_eval": {"match": "prefix_match", "kept": "prefix_match_share"},
        "weight_edits": {
            "done": "succeeded",
            "match_before": "prefix_match_before",
            "match": "prefix_match",
            "match_same_steps": "prefix_match_same_steps",
            "instead_before": "rewrite_match_before",
            "instead": "rewrite_match",
            "instead_same_steps": "rewrite_match_same_steps",
            "others": "n_others",
            "others_kept": "others_retained",
            "others_worst": "others_min_prefix_match",
            "neutral_before": "neutral_loss_before",
            "neutral": "neutral_loss",
            "rate": "learning_rate",
            "weights": "n_weights",
        },
        "edit_curves": {"match": "prefix_match", "instead": "rewrite_match"},
        "rewrite_targets": {"instead": "target"},
        "left_out": {"why": "reason"},
        "claims": CLAIM_COLUMNS,
    },
    values={
        "tokens": {"part": {"start": "beginning"}},
        "held_out_eval": {
            "condition": {
                "untouched": "no intervention",
                "found": "selected heads",
                "random": "random heads",
            }
        },
        "claims": {"verdict": VERDICTS, "claim": _PARAGRAPH_CLAIMS},
    },
    arrays={
        "slopes": "activation_gradients",
        "patch_before": "patch_baseline",
        "head_match": "head_prefix_match_change",
        "head_loss": "head_loss_change",
    },
    keys={
        "gradients": {"lower": "lower_share_difference", "lower_rms": "lower_share_rms_difference"},
        "rarity": {"found": "selected"},
        "heads": {
            "match": "prefix_match_change",
            "untouched": "before",
            "without": "after",
            "neutral_before": "neutral_loss_before",
            "neutral_without": "neutral_loss_after",
        },
        "unlearned": _EDIT_FINDING,
        "rewritten": _EDIT_FINDING,
        "claims": CLAIM_COUNTS,
    },
)

PARTS: dict[str, dict[str, str | None]] = {
    "extraction": {
        "verbatim": None,
        "near_verbatim": "decode",
        "membership": "membership",
        "reference": None,
        "checkpoints": "checkpoints",
        "compression": None,
    },
    "function-tokens": {
        "coverage": None,
        "untrained": "untrained",
        "retrieval": "facts",
        "training": "training",
    },
    "knowledge-conflict": {
        "rates": None,
        "heads": None,
        "pruning": None,
        "side_effects": None,
        "dial": None,
        "transfer": "transfer",
    },
    "paragraph-memorization": {
        "passages": None,
        "triggers": None,
        "gradients": None,
        "patching": "traced",
        "heads": None,
        "edits": "edits",
    },
}
"""The parts of an analysis, each with the parameter that left it out in runs of format 1 when it
was false, 0 or empty; None for those that every run had.
"""
UPGRADES: dict[int, dict[str, Upgrade]] = {
    1: {
        "extraction": EXTRACTION,
        "function-tokens": FUNCTION_TOKENS,
        "inside": SINGLE_PROMPT,
        "knowledge-conflict": _KNOWLEDGE_CONFLICT,
        "paragraph-memorization": _PARAGRAPH_MEMORIZATION,
    },
}
"""By the format that a folder has, then by analysis. An analysis without a step keeps its names."""


def steps(run: str, analysis: str, found: int, current: int) -> list[Upgrade]:
    """The upgrades from the format that was found to the current one, in order.

    Args:
        run: name of the run, for the error.

    Raises:
        BadRun: this version cannot upgrade from that format any more.
    """
    if any(step not in UPGRADES for step in range(found, current)):
        raise BadRun(
            f"The run {run!r} is of format {found}, which this version cannot upgrade any more.",
            f"format {min(UPGRADES, default=current)} to {current}",
            "Run the analysis again, or open it with an older memory-workbench.",
        )
    every = (UPGRADES[step].get(analysis) for step in range(found, current))
    return [upgrade for upgrade in every if upgrade is not None]


def upgrade_index(index: dict[str, Any], upgrade: Upgrade) -> dict[str, Any]:
    """`result.json` with its findings and parameters in the words of the next format.

    What it says of tables and arrays stays, since that describes the files.
    """
    findings = _renamed(index["findings"], upgrade.findings)
    for name, keys in upgrade.keys.items():
        if name in findings:
            finding = _renamed(findings[name], keys)
            if isinstance(finding.get("interval"), Mapping):
                finding["interval"] = _renamed(finding["interval"], keys)
            findings[name] = finding
    params = _renamed(index["params"], upgrade.params)
    for name, values in upgrade.param_values.items():
        if isinstance(params.get(name), str):
            params[name] = values.get(params[name], params[name])
    parts = PARTS.get(index["analysis"], {})
    return {**index, "findings": findings, "params": with_parts(params, parts)}


def with_parts(params: dict[str, Any], parts: Mapping[str, str | None]) -> dict[str, Any]:
    """Parameters that say which parts a run has; see `PARTS`.

    A switch goes, and so does what was 0 or empty to leave something out; a size stays.
    """
    if not parts or "parts" in params:
        return params
    had = [part for part, switch in parts.items() if switch is None or params.get(switch)]
    gone = {
        switch
        for switch in parts.values()
        if switch is not None and (isinstance(params.get(switch), bool) or not params.get(switch))
    }
    return {"parts": had} | {name: value for name, value in params.items() if name not in gone}


def upgrade_tables(tables: Mapping[str, pd.DataFrame], upgrade: Upgrade) -> dict[str, pd.DataFrame]:
    tables = _renamed(tables, upgrade.tables)
    for name, columns in upgrade.columns.items():
        if name in tables:
            _check(tables[name].columns, columns)
            tables[name] = tables[name].rename(columns=partial(new_name, names=columns))
    for name, by_column in upgrade.values.items():
        for column, values in by_column.items():
            if name in tables and column in tables[name]:
                new = [values.get(value, value) for value in tables[name][column]]
                tables[name] = tables[name].assign(**{column: new})
    return tables


def upgrade_arrays(arrays: Mapping[str, xr.DataArray], upgrade: Upgrade) -> dict[str, xr.DataArray]:
    arrays = _renamed(arrays, upgrade.arrays)
    for name, array in arrays.items():
        dims = {old: new for old, new in upgrade.dims.items() if old in array.dims}
        _check(map(str, array.dims), dims)
        array = array.rename(dims).rename(name)
        for dim, labels in upgrade.labels.items():
            if dim in array.coords:
                given = array.coords[dim].values.tolist()
                array = array.assign_coords({dim: [labels.get(label, label) for label in given]})
        arrays[name] = array
    return arrays


def _renamed(things: Mapping[str, _T], names: Names) -> dict[str, _T]:
    """The same things under their new names, in the same order."""
    _check(things, names)
    return {new_name(name, names): thing for name, thing in things.items()}


def _check(present: Iterable[str], names: Names) -> None:
    """Raises BadRun where a new name is taken: one of the two would be lost."""
    after = Counter(new_name(name, names) for name in present)
    if taken := next((name for name, times in after.items() if times > 1), None):
        raise BadRun(
            f"A run of an older format already has something called {taken[:80]!r}.",
            "the names of its format alone",
            "Do not trust this folder.",
        )
