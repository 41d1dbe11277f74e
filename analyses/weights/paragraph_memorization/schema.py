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
            C("match", f"{_MATCH}.", "tokens"),
            C("loss", "Mean loss on the suffix.", _NATS),
            C("prefix", "What the model is given."),
            C("suffix", "What follows in the text."),
            C("said", "What greedy decoding says after the prefix."),
        ]),
        TableSchema("tokens", "One row per token of these passages.", [
            _PASSAGE,
            C("pos", "Position in the prompt."),
            C("token", "The token as text."),
            C("part", "start (what stands before every text), prefix or suffix."),
            C("said", "Whether it is the model's own choice after the text before it."),
            C("p", "Probability of the token after the text before it; only of the suffix."),
            C("likeliest", "The model's own choice there."),
            C("trigger", "Mean change of the leading tokens said when it is replaced.", "tokens",
              optional=True),
            C("trigger_loss", "Mean rise in loss when it is replaced.", _NATS, optional=True),
        ]),
        TableSchema("perturbed", "One row per replaced token and draw.", [
            _PASSAGE,
            C("pos", "Position of the replaced token."),
            C("draw", "Number of the draw."),
            C("replacement", "The token put in its place, drawn from the whole vocabulary."),
            C("match", "Change of the leading tokens of the model's own continuation that greedy"
              " decoding reproduces.", "tokens"),
            C("loss", "Rise in loss of that continuation.", _NATS),
        ]),
        TableSchema("along", REPLACED, [
            _GROUP,
            C("prefix", "Place of the token in the prefix."),
            C("match", "`match` of `perturbed`, mean over draws and passages.", "tokens"),
            C("loss", "`loss` of `perturbed`, mean over draws and passages.", _NATS),
        ]),
        TableSchema("weights", f"Gradients by group and component. {BATCH} {SHARES}", [
            _GROUP,
            C("weight", "The matrix: W_Q, W_K, W_V or W_O of a head, or one of an MLP."),
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
        TableSchema("lower", "Where the gradient of each passage is.", [
            _PASSAGE,
            _GROUP,
            C("low_max", "Share of the lower half of the layers in the largest entries."),
            C("low_rms", "The same of root mean squares."),
            C("sum_max", "Largest entries, summed over all components.", _SLOPE, optional=True),
        ]),
        TableSchema("twins", TWIN, [
            _PASSAGE,
            C("pos", "Position of the replaced token."),
            C("token", "The token of the passage."),
            C("replacement", "The token of its twin."),
            C("impact", "Leading tokens of the suffix that are still said.", "tokens"),
            C("impact_token", "The first token that changes."),
        ]),
        TableSchema("heads", ABSENCE, [
            C("label", "The head, such as L5H1."),
            C("rank", "Its place by `match`; 1 costs most."),
            _LAYER,
            C("head", "The head."),
            C("match", "Change of the leading tokens that greedy decoding reproduces of memorized"
              " passages (the half that chooses), under zero ablation.", "tokens"),
            C("loss", "Rise in loss on their suffixes.", _NATS),
            C("other_loss", "The same of passages that are not memorized.", _NATS),
            C("neutral_loss", "The same of neutral prose.", _NATS),
            C("rarity_pooled", "Rank correlation of attention with how frequent a token is, all"
              " passages pooled (Stoehr et al. 2024); negative: the rarer, the more attention."),
            C("rarity_each", "The same within a passage, mean over passages."),
            C("rarity_each_low", "Lower end of its 95 % interval."),
            C("rarity_each_high", "Upper end of its 95 % interval."),
            C("trigger_share", "Share of its attention on the strongest trigger tokens while the"
              " suffix is said."),
            C("trigger_lift", "That share over the one of as many tokens of the prefix at random."),
            C("role", "memorization: it was picked, and is tested on the held-out half."),
        ]),
        TableSchema("proof", "Heads zeroed together, on the held-out half.", [
            C("condition", "untouched, found (the picked heads), or random (as many of the same"
              " layers)."),
            C("heads", "The heads that were zeroed."),
            C("match", f"{_MATCH}, mean over passages.", "tokens"),
            C("kept", "The same as a share of the suffix."),
            C("loss", "Loss on the suffixes.", _NATS),
            C("neutral_loss", "Loss on neutral prose.", _NATS),
            C("n", "Passages of the held-out half."),
        ]),
        TableSchema("removals", "One row per passage that was changed, aim and mask.", [
            _PASSAGE,
            C("name", "The document it is from."),
            _AIM,
            _MASK,
            C("steps", "Updates carried out."),
            C("done", "Whether it was unlearned or rewritten by then."),
            C("match_before", f"{_MATCH}, before.", "tokens"),
            C("match", "The same afterwards.", "tokens"),
            C("match_same_steps", "The same after as many steps as the contrast mask took.",
              "tokens"),
            C("instead_before", "Leading tokens of the new text that greedy decoding reproduces,"
              " before; only of rewriting.", "tokens"),
            C("instead", "The same afterwards.", "tokens"),
            C("instead_same_steps", "The same after as many steps as the contrast mask took.",
              "tokens"),
            C("others", "Other memorized passages that were measured and never seen by updates."),
            C("others_kept", "Share of their suffixes that is still said, mean."),
            C("others_worst", "The fewest leading tokens still said of one of them.", "tokens"),
            C("neutral_before", "Loss on neutral prose before.", _NATS),
            C("neutral", "The same afterwards.", _NATS),
            C("rate", "Size of a step.", "standard deviations of a matrix"),
            C("weights", "How many weights may change."),
        ]),
        TableSchema("curves", "The same after every step.", [
            _PASSAGE,
            _AIM,
            _MASK,
            C("step", "Number of the update."),
            C("match", f"{_MATCH}.", "tokens"),
            C("instead", "Leading tokens of the new text; of unlearning, as `match`.", "tokens"),
        ]),
        TableSchema("rewritten", NEW, [
            _PASSAGE,
            C("instead", "The new text: what the model says after the prefix of its twin."),
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
        A("slopes", "Largest absolute entry of the gradient of the loss at a place.",
          ("passage", "site", "layer", "pos"), _SLOPE),
        A("patch_positions", "Change of ln p of the first token that changes when one place of one"
          " run is put into the other.", ("passage", "direction", "site", "layer", "pos"), "nats"),
        A("patch_heads", "The same for the output of one head at all tokens.",
          ("passage", "direction", "layer", "head"), "nats"),
        A("patch_before", "ln p of that token unpatched.", ("passage", "direction"), "nats"),
        A("head_match", "`match` of `heads`, passage by passage.", ("passage", "layer", "head"),
          "tokens"),
        A("head_loss", "`loss` of `heads`, passage by passage.", ("passage", "layer", "head"),
          _NATS),
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
