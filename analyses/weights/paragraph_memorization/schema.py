"""What the tables, arrays and findings of a paragraph-memorization run mean."""

from analyses import claims
from workbench.schema import ArraySchema as A
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

# What pages say of a table in words stands here once.
REPLACED = (
    "Each token of a prefix is replaced by others, drawn from the whole vocabulary; means over"
    " draws and passages. What is lost is counted in the model's own continuation of the whole"
    " prefix, which for memorized passages is the text itself."
)
SHARES = (
    "Shares, since the loss of what is not memorized is larger and so are all its gradients. A"
    " gradient says what training would move, not what the model uses."
)
BATCH = (
    "Each passage's own gradient, then the mean. Columns batch_max and batch_rms of the table are"
    " of the mean gradient."
)
ABSENCE = (
    "Each head set to zero at all tokens: how many leading tokens of the memorized passages (the"
    " half that chooses) are lost. Beside it how much it looks at the three strongest trigger"
    " tokens, and whether it looks at rare tokens."
)
TWIN = (
    "A passage and its twin differ in one token of the prefix, the one whose replacement costs"
    " most."
)
MASKS = (
    "Gradient, against others: the thousandth of the weights whose gradient for the passage most"
    " exceeds that for passages that are to stay. Gradient alone: the largest, as in the paper."
    " Random weights: as many in each matrix, shown after as many steps as the first took. All"
    " weights: with steps of the same length in all."
)
NEW = (
    "What the passages are rewritten to: what the model says when one token of the prefix is"
    " replaced."
)
_PASSAGE = C("passage", "Number of the passage.")
_GROUP = C("group", "memorized, partly memorized or not memorized.")
_AIM = C("aim", "unlearn (its loss is raised) or rewrite (the loss of another text is lowered).")
_MASK = C(
    "mask",
    f"Which weights may change: contrast, gradient, random or all. {MASKS}",
)
_LAYER, _HEAD = C("layer", "The layer."), C("head", "The head; -1 for a matrix of an MLP.")
_MATCH = "Leading tokens of the suffix that greedy decoding reproduces"
_NATS = "nats per token"
_SLOPE = "nats per token per unit"

SCHEMA = Schema(
    tables=[
        TableSchema("passages", "One row per passage that is looked at.", [
            _PASSAGE,
            C("name", "The document it is from."),
            C("kind", "Kind of document, where a ledger says it."),
            C("document", "Number of the document; passages of one are counted together.",
              optional=True),
            C("repeats", "How often the document was read in training, where that is known."),
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
            C("replacement", "The token put in its place, drawn from the whole vocabulary."),
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
        TableSchema("passage_gradients", "Where the gradient of each passage is.", [
            _PASSAGE,
            _GROUP,
            C("lower_share_max", "Share of the lower half of the layers in the largest entries."),
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
            C("rank", "Its place by `prefix_match_change`; 1 costs most."),
            _LAYER,
            C("head", "The head."),
            C("prefix_match_change", "Change of the leading tokens that greedy decoding reproduces"
              " of memorized passages (the select half), under zero ablation.", "tokens"),
            C("loss_change", "Rise in loss on their suffixes.", _NATS),
            C("other_loss_change", "The same of passages that are not memorized.", _NATS),
            C("neutral_loss_change", "The same of neutral prose.", _NATS),
            C("rarity_pooled", "Rank correlation of attention with how frequent a token is, all"
              " passages pooled (Stoehr et al. 2024); negative: the rarer, the more attention."),
            C("rarity_within", "The same within a passage, mean over passages."),
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
            C("steps", "Updates carried out."),
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
            C("n_others", "Other memorized passages that were measured and never seen by updates."),
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
        TableSchema("parameters", "Where `edit_index` counts: all matrices as one long row.", [
            C("name", "The parameter of the model."),
            C("start", "Where it begins."),
            C("size", "How many weights it has."),
        ]),
        TableSchema("left_out", "What was not looked at.", [
            C("name", "The text."),
            C("reason", "Why it was not looked at."),
        ]),
        claims.TABLE,
    ],
    arrays=[
        A("activation_gradients", "Largest absolute entry of the gradient of the loss at a place.",
          ("passage", "site", "layer", "pos"), _SLOPE),
        A("patch_positions", "Change of ln p of the first token that changes when one place of one"
          " run is put into the other.", ("passage", "direction", "site", "layer", "pos"), "nats"),
        A("patch_heads", "The same for the output of one head at all tokens.",
          ("passage", "direction", "layer", "head"), "nats"),
        A("patch_baseline", "ln p of that token unpatched.", ("passage", "direction"), "nats"),
        A("head_prefix_match_change", "`prefix_match_change` of `heads`, passage by passage.",
          ("passage", "layer", "head"), "tokens"),
        A("head_loss_change", "`loss_change` of `heads`, passage by passage.",
          ("passage", "layer", "head"), _NATS),
        A("edit_index", "Weights that the contrast mask changed, one row per passage and aim.",
          ("edit", "weight")),
        A("edit_values", "What was added to each.", ("edit", "weight")),
    ],
    findings=[
        F("passages", "Passages by group", "passages"),
        F("triggers", "Tokens lost when one token of the prefix is replaced", "tokens"),
        F("gradients", "Largest gradient entries, and their share in the lower layers"),
        F("patching", "What one value of the other run brings back", "nats"),
        F("rarity", "Attention and how frequent a token is", "rank correlation"),
        F("heads", "Tokens said without the picked heads, on the held-out half", "tokens"),
        F("unlearned", "Tokens still said of unlearned passages", "tokens"),
        F("rewritten", "Tokens still said of rewritten passages", "tokens"),
        F("left_out", "Texts not looked at", "texts"),
        F("altered", "Texts that the tokenizer changes", "texts"),
        claims.FINDING,
    ],
)  # fmt: skip
