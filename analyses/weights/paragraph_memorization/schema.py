"""What the tables, arrays and findings of a paragraph-memorization run mean."""

from analyses import claims
from workbench.schema import ArraySchema as A
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

# What pages say of a table in words stands here once.
REPLACED = (
    "Each token of a prefix is replaced by others, drawn from the whole vocabulary; means over"
    " draws and passages. Lost tokens are counted in the model's own continuation of the whole"
    " prefix, which for memorized passages is the suffix itself."
)
SHARES = (
    "Shares are compared because passages that are not memorized have a larger loss, and so larger"
    " gradients everywhere. A gradient shows what training would change, not what the model uses."
)
CONTRAST = (
    "Share of each component in the gradients of a group, in thousandths: memorized − not"
    " memorized. Blue: larger for memorized passages; red: smaller."
)
BATCH = (
    "Gradients are computed per passage, then averaged. Columns batch_max and batch_rms of the"
    " table are of the averaged gradient."
)
ABSENCE = (
    "Zero ablation of each head at all positions: change of the leading tokens that greedy decoding"
    " reproduces of memorized passages (the select half). Beside it, the head's attention to the"
    " three strongest trigger tokens, and the correlation of its attention with token frequency."
)
TWIN = (
    "A passage and its perturbed twin differ in one prefix token, the one whose replacement loses"
    " most tokens."
)
PATCHED = (
    "One activation of one run is patched into the other. The effect is the change of the"
    " log-probability of the first token at which they diverge, in nats: blue raises it, red lowers"
    " it. Left and right have separate scales."
)
MASKS = (
    "contrast: the thousandth of the weights whose gradient for the passage most exceeds that for"
    " the passages to keep. gradient: the largest gradients, as in the paper. random: as many"
    " weights in each matrix, shown after as many steps as the contrast mask took. all: every"
    " weight, with steps of the same length."
)
NEW = (
    "The text that a passage is rewritten to: what greedy decoding generates after the prefix of"
    " its perturbed twin."
)
_PASSAGE = C("passage", "Number of the passage.")
_GROUP = C("group", "memorized, partly memorized or not memorized.")
_AIM = C("aim", "unlearn (raise its loss) or rewrite (lower the loss of another text).")
_MASK = C(
    "mask",
    f"Which weights may change. {MASKS}",
)
_LAYER, _HEAD = C("layer", "The layer."), C("head", "The head; -1 for a matrix of an MLP.")
_MATCH = "Leading tokens of the suffix that greedy decoding reproduces"
_NATS = "nats per token"
_SLOPE = "nats per token per unit"
RANKED = "{picked}, rank {rank} of {heads} by the tokens lost without it"
"""What is said beside a head's name, as a format of its row."""
EFFECT_FORMATS = {
    "memorized passages": "{prefix_match_change:+.1f} tokens, {loss_change:+.3f} nats per token",
    "passages not memorized": "{other_loss_change:+.3f} nats per token",
    "neutral prose": "{neutral_loss_change:+.3f} nats per token",
    "attention to triggers": "{trigger_attention:%}, {trigger_attention_ratio:.1f} times chance",
    "attention and token frequency": "{rarity_within:+.2f} ({rarity_within_low:+.2f} to"
    " {rarity_within_high:+.2f}); pooled {rarity_pooled:+.2f}",
}
"""What a person reads of a head to which numbers, as formats of its row."""

SCHEMA = Schema(
    tables=[
        TableSchema("passages", "One row per analysed passage.", [
            _PASSAGE,
            C("name", "The document it is from."),
            C("kind", "Kind of document, where a ledger names it."),
            C("document", "Number of the document; passages of one are counted together.",
              optional=True),
            C("repeats", "How often the document was in the training data, where that is known."),
            _GROUP,
            C("prefix_match", f"{_MATCH}.", "tokens"),
            C("loss", "Mean loss on the suffix.", _NATS),
            C("prefix", "The text that the model is given."),
            C("suffix", "The text that follows."),
            C("generated", "What greedy decoding generates after the prefix."),
        ]),
        TableSchema("tokens", "One row per token of these passages.", [
            _PASSAGE,
            C("pos", "Position in the prompt."),
            C("token", "The token as text."),
            C("part", "beginning (the tokens before every text), prefix or suffix."),
            C("is_greedy", "Whether it is the model's first choice after the text before it."),
            C("p", "Probability of the token after the text before it; only of the suffix."),
            C("greedy_token", "The model's first choice there."),
            C("prefix_match_change", "`prefix_match_change` of `perturbed`, mean over draws.",
              "tokens", optional=True),
            C("loss_change", "`loss_change` of `perturbed`, mean over draws.", _NATS,
              optional=True),
        ]),
        TableSchema("perturbed", "One row per replaced token and draw.", [
            _PASSAGE,
            C("pos", "Position of the replaced token."),
            C("draw", "Number of the draw."),
            C("replacement", "The token in its place, drawn from the whole vocabulary."),
            C("prefix_match_change", "Change of the leading tokens of the model's own continuation"
              " that greedy decoding reproduces.", "tokens"),
            C("loss_change", "Rise in loss of that continuation.", _NATS),
        ]),
        TableSchema("by_position", REPLACED, [
            _GROUP,
            C("prefix_pos", "Position of the token in the prefix."),
            C("prefix_match_change", "`prefix_match_change` of `perturbed`, mean over draws and"
              " passages.", "tokens"),
            C("loss_change", "`loss_change` of `perturbed`, mean over draws and passages.", _NATS),
        ]),
        TableSchema("weight_gradients", f"Gradients by group and component. {BATCH} {SHARES}", [
            _GROUP,
            C("matrix", "The matrix: W_Q, W_K, W_V or W_O of a head, or one of an MLP."),
            _LAYER,
            _HEAD,
            C("max", "Largest absolute entry of a passage's own gradient, mean over passages.",
              _SLOPE),
            C("rms", "Root mean square of its entries, mean over passages.", _SLOPE),
            C("batch_max", "Largest absolute entry of the mean gradient.", _SLOPE),
            C("batch_rms", "Root mean square of the entries of the mean gradient.", _SLOPE),
            *(C(f"share_{size}", f"Share of the component in `{size}` of the group.")
              for size in ("max", "rms", "batch_max", "batch_rms")),
        ]),
        TableSchema("passage_gradients", "The gradient of each passage, by depth.", [
            _PASSAGE,
            _GROUP,
            C("lower_share_max", "Share of the lower half of the layers in the sum of the largest"
              " entries."),
            C("lower_share_rms", "The same of root mean squares."),
            C("sum_max", "Largest entries, summed over all components.", _SLOPE, optional=True),
        ]),
        TableSchema("perturbed_twins", TWIN, [
            _PASSAGE,
            C("pos", "Position of the replaced token."),
            C("token", "The token of the passage."),
            C("replacement", "The token of its twin."),
            C("divergence_position", "Position in the suffix of the first token that the twin does"
              " not reproduce.", "tokens"),
            C("divergence_token", "That token of the suffix."),
        ]),
        TableSchema("heads", ABSENCE, [
            C("label", "The head, such as L5H1."),
            C("rank", "Rank by `prefix_match_change`; 1 has the largest effect."),
            _LAYER,
            C("head", "The head."),
            C("prefix_match_change", "Change of the leading tokens that greedy decoding reproduces"
              " of memorized passages (the select half), under zero ablation.", "tokens"),
            C("loss_change", "Rise in loss on their suffixes.", _NATS),
            C("other_loss_change", "The same of passages that are not memorized.", _NATS),
            C("neutral_loss_change", "The same of neutral prose.", _NATS),
            C("rarity_pooled", "Rank correlation of attention with token frequency, all passages"
              " pooled (Stoehr et al. 2024); negative: rarer tokens get more attention."),
            C("rarity_within", "The same within each passage, mean over passages."),
            C("rarity_within_low", "Lower end of its 95 % interval."),
            C("rarity_within_high", "Upper end of its 95 % interval."),
            C("trigger_attention", "Share of its attention on the strongest trigger tokens while"
              " the suffix is predicted."),
            C("trigger_attention_ratio", "That share divided by the share of as many random tokens"
              " of the prefix."),
            C("role", "memorization: it was selected, and is tested on the held-out half."),
        ]),
        TableSchema("held_out_eval", "Heads ablated together, on the held-out half.", [
            C("condition", "no intervention, selected heads, or random heads (as many of the same"
              " layers)."),
            C("heads", "The heads under zero ablation."),
            C("prefix_match", f"{_MATCH}, mean over passages.", "tokens"),
            C("prefix_match_share", "The same as a share of the suffix."),
            C("loss", "Loss on the suffixes.", _NATS),
            C("neutral_loss", "Loss on neutral prose.", _NATS),
            C("n", "Passages of the held-out half."),
        ]),
        TableSchema("weight_edits", "One row per edited passage, aim and mask.", [
            _PASSAGE,
            C("name", "The document it is from."),
            _AIM,
            _MASK,
            C("steps", "Updates made."),
            C("succeeded", "Whether it was unlearned or rewritten by then."),
            C("prefix_match_before", f"{_MATCH}, before.", "tokens"),
            C("prefix_match", "The same afterwards.", "tokens"),
            C("prefix_match_same_steps", "The same after as many steps as the contrast mask took.",
              "tokens"),
            C("rewrite_match_before", "Leading tokens of the new text that greedy decoding"
              " reproduces, before; only of rewriting.", "tokens"),
            C("rewrite_match", "The same afterwards.", "tokens"),
            C("rewrite_match_same_steps", "The same after as many steps as the contrast mask took.",
              "tokens"),
            C("n_others", "Held-out memorized passages, which no update has seen."),
            C("others_retained", "Share of their suffixes that is still reproduced, mean."),
            C("others_min_prefix_match", "The fewest leading tokens still reproduced of one of"
              " them.", "tokens"),
            C("neutral_loss_before", "Loss on neutral prose before.", _NATS),
            C("neutral_loss", "The same afterwards.", _NATS),
            C("learning_rate", "Size of a step.", "standard deviations of a matrix"),
            C("n_weights", "How many weights may change."),
        ]),
        TableSchema("edit_curves", "The same after every step.", [
            _PASSAGE,
            _AIM,
            _MASK,
            C("step", "Number of the update."),
            C("prefix_match", f"{_MATCH}.", "tokens"),
            C("rewrite_match", "Leading tokens of the new text; of unlearning, as `prefix_match`.",
              "tokens"),
        ]),
        TableSchema("rewrite_targets", NEW, [
            _PASSAGE,
            C("target", "The new text: what greedy decoding generates after the twin's prefix."),
        ]),
        TableSchema("parameters", "How `edit_index` counts weights: all matrices in one row.", [
            C("name", "The parameter of the model."),
            C("start", "Index of its first weight."),
            C("size", "How many weights it has."),
        ]),
        TableSchema("left_out", "Texts that were not analysed.", [
            C("name", "The text."),
            C("reason", "Why it was not analysed."),
        ]),
        claims.TABLE,
    ],
    arrays=[
        A("activation_gradients", "Largest absolute entry of the loss gradient at a site and"
          " token.", ("passage", "site", "layer", "pos"), _SLOPE),
        A("patch_positions", "Change of the log-probability of the first token at which the runs"
          " diverge, when one site at one token is patched from the other run.",
          ("passage", "direction", "site", "layer", "pos"), "nats"),
        A("patch_heads", "The same for the output of one head at all positions.",
          ("passage", "direction", "layer", "head"), "nats"),
        A("patch_baseline", "Log-probability of that token without patching.",
          ("passage", "direction"), "nats"),
        A("head_prefix_match_change", "`prefix_match_change` of `heads`, passage by passage.",
          ("passage", "layer", "head"), "tokens"),
        A("head_loss_change", "`loss_change` of `heads`, passage by passage.",
          ("passage", "layer", "head"), _NATS),
        A("edit_index", "Weights that the contrast mask changed, one row per passage and aim.",
          ("edit", "weight")),
        A("edit_values", "The change of each of these weights.", ("edit", "weight")),
    ],
    findings=[
        F("passages", "Suffixes that greedy decoding reproduces in full", "passages"),
        F("triggers", "Tokens lost by replacing one prefix token", "tokens"),
        F("gradients", "Gradient size and share in the lower layers"),
        F("patching", "Patching between a passage and its perturbed twin", "nats"),
        F("rarity", "Attention and token frequency", "rank correlation"),
        F("heads", "Memorization heads switched off, held-out passages", "tokens"),
        F("unlearned", "Unlearned passages: tokens still reproduced", "tokens"),
        F("rewritten", "Rewritten passages: tokens still reproduced", "tokens"),
        F("random_controls", "As many random heads off or random weights edited", "tokens"),
        F("left_out", "Texts that were not analysed", "texts"),
        F("altered", "Texts that the tokenizer changes", "texts"),
        claims.FINDING,
    ],
)  # fmt: skip
