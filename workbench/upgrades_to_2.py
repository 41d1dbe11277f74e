"""What runs of format 1 call otherwise, by analysis, and which parts they had."""

from __future__ import annotations

from workbench.upgrade_step import CLAIM_COLUMNS, CLAIM_COUNTS, VERDICTS, Upgrade

_VERDICTS = {
    "recites whole passages": "reproduces whole passages",
    "recites parts of passages": "reproduces parts of passages",
    "may recite passages when sampled often": "would reproduce passages when sampled",
    "continues its patterns": "continues patterns",
    "recites short runs": "reproduces short runs",
    "no sign of it": "no sign of memorization",
}
EXTRACTION = Upgrade(
    tables={
        "tries": "extraction_by_queries",
        "controls": "pattern_controls",
        "steps": "checkpoints",
    },
    columns={
        "windows": {
            "match": "prefix_match",
            "run": "longest_run",
            "log_p": "suffix_logprob",
            "tries": "queries_needed",
            "score": "memorization_score",
            "edit": "edit_distance",
            "common": "lcs_chars",
            "said": "generated",
            "reference_match": "reference_prefix_match",
        },
        "tokens": {"likeliest": "greedy_token", "right": "is_greedy"},
        "rates": {"match": "prefix_match"},
        "extraction_by_queries": {
            "chance": "probability",
            "n": "queries",
            "greedy": "greedy_rate",
        },
        "documents": {
            "says": "explanation",
            "windows": "n_windows",
            "recited": "prefix_match_share",
            "exact": "n_exact",
            "sampled": "n_sampled",
            "longest": "longest_prefix_match",
            "run": "longest_run",
            "read": "read_share",
            "repetitive": "n_repetitive",
            "patterns": "n_patterns",
        },
        "pattern_controls": {
            "distinct": "distinct_share",
            "run": "longest_run",
            "copied": "copied_run",
            "exchanged": "permuted_run",
            "counted": "incremented_run",
        },
        "left_out": {"why": "reason"},
        "context": {"context": "context_length", "match": "prefix_match"},
        "overlap": {
            "this model only": "only_this_model",
            "reference only": "only_reference",
            "match": "prefix_match",
            "reference_match": "reference_prefix_match",
        },
        "membership": {
            "members": "n_members",
            "others": "n_nonmembers",
            "low": "auc_low",
            "high": "auc_high",
        },
        "compression": {
            "tokens": "string_tokens",
            "ratio": "compression_ratio",
            "steps": "gcg_steps",
            "ended": "stopped_by",
        },
        "checkpoints": {"match": "prefix_match"},
    },
    values={
        "extraction_by_queries": {"group": {"read": "members", "never read": "non-members"}},
        "documents": {"verdict": _VERDICTS},
        "compression": {
            "stopped_by": {"by itself": "convergence", "its steps were used up": "step limit"}
        },
    },
    findings={"never_read": "nonmembers", "controls": "pattern_controls"},
    keys={
        "greedy": {"longest_match": "longest_prefix_match"},
        "sampled": {"samples": "queries", "chance": "probability"},
        "documents": {
            old.replace(" ", "_"): new.replace(" ", "_") for old, new in _VERDICTS.items()
        },
        "verdict_thresholds": {
            "match": "prefix_match",
            "run": "longest_run",
            "never_read_match": "nonmember_prefix_match",
            "never_read_run": "nonmember_longest_run",
            "distinct_tokens": "distinct_share",
            "samples": "queries",
        },
        "near_verbatim": {"score": "memorization_score", "edit_at_most": "max_edit_distance"},
        "repeats": {
            "spearman_probability": "spearman_logprob",
            "match_at_*": "prefix_match_at_*",
        },
        "nonmembers": {"match": "prefix_match"},
        "overlap": {"this": "only_this_model", "reference": "only_reference"},
        "training": {"ever": "extracted_ever", "at_the_end": "extracted_at_end"},
        "compression": {"highest": "highest_ratio"},
        "textless": {"ids": "n_ids", "likeliest": "n_greedy"},
    },
)

_MATCHED = {"equal": "matched", "content_equal": "content_matched"}
_LOSSES = {"measure": "predictor", "group": "transition", "error": "standard_error"}
_ABLATIONS = {
    "again": "reactivated",
    "at subject": "reactivated_at_subject",
    "strongest at subject": "strongest_at_subject",
    "some": "reactivated_subset",
}
_STEERINGS = {"own": "identity"}
_CLAIMS = {
    "10 tokens reach most features of the middle layer": (
        "10 token types activate most features of the middle layer"
    ),
    "Features are reached by them in a way that random directions are not": (
        "They activate a larger share of features than of random directions"
    ),
    "They reach more features than as much text of content tokens": (
        "They activate more features than as many content tokens"
    ),
    "In equally many occurrences a function token activates more features than a content token": (
        "At equal frequency a function token activates more features than a content token"
    ),
    "It is the tokens that reach them, not the text they stand in": (
        "The tokens activate them, not the text around the tokens"
    ),
    "A content token's features are active again at function tokens more than at content tokens": (
        "A content token's features are reactivated more at function tokens than at content tokens"
    ),
    "The features that are active again carry the answer": (
        "The reactivated features carry the answer"
    ),
    "What matters there is that it is a function token, not that it is the last": (
        "The effect needs a function token, not just the last token"
    ),
    "In training more and more features come alive": (
        "In training, the number of living features grows"
    ),
    "Function tokens hold most of the edges, and more and more of them": (
        "Function tokens hold most of the edges, and a growing share"
    ),
}
FUNCTION_TOKENS = Upgrade(
    tables={
        "classes": "degree_by_class",
        "shares": "coverage_by_share",
        "again": "reactivation",
        "training": "training_losses",
        "alive": "live_features",
        "active_again": "reactivated_features",
        "along": "steering_by_position",
    },
    columns={
        "autoencoders": {"at": "sae", "width": "d_sae"},
        "tokens": {
            "word": "word_class",
            "share": "frequency",
            "windows": "window_frequency",
            "mixed *": "shuffled *",
            "equal *": "matched *",
        },
        "coverage": {
            "at": "sae",
            "n": "n_types",
            "features": "coverage",
            "strong": "above_5pct",
            "mixed": "shuffled",
            "random": "random_directions",
            **_MATCHED,
        },
        "degree_by_class": {
            "at": "sae",
            "function": "function_degree",
            "content": "content_degree",
            "low": "difference_low",
            "high": "difference_high",
            "rank": "spearman",
            "drawn": "n_occurrences",
        },
        "coverage_by_share": {
            "share": "function_share",
            "tokens": "n_types",
            "at": "sae",
            "features": "coverage",
            **_MATCHED,
        },
        "reactivation": {
            "at": "sae",
            "share": "reactivated",
            "chance": "baseline",
            "more": "above_baseline",
            "low": "above_baseline_low",
            "high": "above_baseline_high",
        },
        "features": {
            "tokens": "n_tokens",
            "share": "density",
            "function": "function_share",
            "types": "degree",
            "peak": "max_activation",
            "fires_on": "top_tokens",
            "promotes": "positive_logits",
            "suppresses": "negative_logits",
            "near": "nearest_features",
            "at": "sae",
        },
        "examples": {"at": "sae"},
        "untrained": {
            "at": "sae",
            "n": "n_types",
            "features": "coverage",
            "random": "random_directions",
            "untrained": "untrained_directions",
        },
        "transitions": _LOSSES,
        "training_losses": _LOSSES,
        "live_features": {
            "at": "sae",
            "width": "d_sae",
            "alive": "n_alive",
            "edges": "n_edges",
            "function_edges": "function_edge_share",
            "mixed_edges": "shuffled_edge_share",
            "low": "degree_difference_low",
            "high": "degree_difference_high",
            "drawn": "n_occurrences",
        },
        "prompt_features": {"at": "sae"},
        "wordings": {"last": "last_token", "function": "last_is_function"},
        "reactivated_features": {"at": "sae", "again": "n_reactivated", "at_last": "n_active"},
        "ablations": {"features": "n_features", "loss": "logprob_drop", "at": "sae"},
        "ablation_means": {
            "at": "sae",
            "mean": "logprob_drop",
            "low": "logprob_drop_low",
            "high": "logprob_drop_high",
            "features": "n_features",
        },
        "steerings": {
            "other": "other_fact",
            "features": "n_features",
            "before": "logit_diff_before",
            "after": "logit_diff_after",
            "answers": "flipped",
            "first": "top_answer",
            "at": "sae",
            "moved": "logit_diff_change",
        },
        "steering_means": {
            "at": "sae",
            "mean": "logit_diff_change",
            "low": "logit_diff_change_low",
            "high": "logit_diff_change_high",
            "features": "n_features",
            "answers": "flipped",
            "first": "top_answer",
        },
        "steering_by_position": {
            "features": "n_features",
            "moved": "logit_diff_change",
            "at": "sae",
        },
        "claims": CLAIM_COLUMNS,
    },
    values={
        "ablations": {"condition": _ABLATIONS},
        "ablation_means": {"condition": _ABLATIONS},
        "steerings": {"condition": _STEERINGS},
        "steering_means": {"condition": _STEERINGS},
        "claims": {"verdict": VERDICTS, "claim": _CLAIMS},
    },
    arrays={"histogram": "activation_histogram"},
    dims={"at": "sae", "what": "field"},
    findings={
        "list": "function_tokens",
        "first": "coverage",
        "same_number": "coverage_vs_content",
        "equal": "frequency_matched",
        "again": "reactivation",
        "alive": "live_features",
    },
    keys={
        "function_tokens": {
            "tokens": "n_types",
            "share": "frequency",
            "also_grammar": "grammar_overlap",
            "occurrences_also_grammar": "grammar_overlap_frequency",
            "grammar_tokens": "n_grammar_types",
            "grammar_share": "grammar_frequency",
            "windows": "window_frequency",
        },
        "coverage": {
            "features_*": "coverage_*",
            "mixed_*": "shuffled_*",
            "random_*": "random_directions_*",
            "strong_*": "above_5pct_*",
        },
        "coverage_vs_content": {"features_*": "coverage_*"},
        "reactivation": {"gap_*": "difference_*"},
        "untrained": {
            "features_*": "coverage_*",
            "random_*": "random_directions_*",
            "untrained_*": "untrained_directions_*",
        },
        "ablation": {
            "against_others_*": "drop_vs_others_*",
            "against_subject_*": "drop_vs_subject_*",
        },
        "training": {"half_*": "half_step_*"},
        "live_features": {
            "alive_*": "n_alive_*",
            "function_edges_*": "function_edge_share_*",
            "mixed_edges_*": "shuffled_edge_share_*",
        },
        "claims": CLAIM_COUNTS,
    },
)

SINGLE_PROMPT = Upgrade(
    tables={
        "next": "next_tokens",
        "lens": "logit_lens",
        "answers": "answer_lens",
        "parts": "components",
    },
    columns={
        "answer_lens": {"which": "target"},
        "components": {"part": "component", "kind": "type"},
        "neurons": {"largest": "max_activation"},
        "left_out": {"what": "item", "why": "reason"},
    },
    values={"left_out": {"item": {"lens": "logit_lens", "parts": "components"}}},
    arrays={"parts": "components"},
    dims={"part": "component"},
    findings={
        "next": "next_token",
        "shares": "component_types",
        "strongest": "top_head",
        "settles": "answer_layer",
    },
)

_STABILITY = {"chosen_again": "selection_frequency", "number_again": "same_size_frequency"}
_TRANSFER = {"told": "testable", "carry_over": "transferred", "other_way": "reversed"}
KNOWLEDGE_CONFLICT = Upgrade(
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
PARAGRAPH_MEMORIZATION = Upgrade(
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
        "access": "access",
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
