"""What the tables and findings of a run mean."""

from analyses.claims import FINDING as CLAIMS_FINDING
from analyses.claims import TABLE as CLAIMS_TABLE
from analyses.training.training_order import constants as c
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_NATS = "nats per token"
_OF = C("of", "`text`: the text of a block; `sentence`: the second half of the sentence planted in"
        " it, given the first.")  # fmt: skip
_ORDER = C("order", "Number of the order, from 1.")
_BLOCK = C("block", "Number of the block, from 1: its position in the reference run.")
_POSITION = C("position", "Where the block is read, from 1.")
_LOW, _HIGH = C("low", "Lower end of its 95 % interval."), C("high", "Upper end.")

ABOUT = (
    "A point is a block of text under another order: how its loss at the end differs from that of"
    " the reference run, as estimated from that run alone and as really trained. On the line the"
    " estimate is exact."
)
PREDICTORS = (
    "First order: gradients expanded around the reference run (gradient plus Hessian times the"
    " distance), Adam replayed. Gradients alone: without the Hessian. First order, stored: the"
    " Hessian acts in a few directions only. TracIn: products of gradients, with Adam's scale."
    " Recency curve: what reading brought in the reference run, against how many blocks came after."
    " Read later: the plain guess that what is read later is known better. The mean of the other"
    " orders is no prediction from one run; another order's estimate is the control."
)
POSITIONS = (
    "Each block's loss at the end against its own mean over all orders, so that what is hard counts"
    " nothing; the interval is over orders."
)

SCHEMA = Schema(
    tables=[
        TableSchema("predictors", "How well changes of loss are predicted.", [
            _OF,
            C("predictor", "What predicts."),
            C("needs", "What has to be trained for it."),
            C("r", "Spearman's rank correlation with the real changes.", "rank correlation"),
            _LOW,
            _HIGH,
            C("explained", "1 − squared error / squared change: 1 is exact, 0 as good as saying"
              " that nothing changes."),
            C("n", "Orders."),
        ]),
        TableSchema("changes", "Every block under every order: loss less that of the reference.", [
            _ORDER,
            _OF,
            _BLOCK,
            _POSITION,
            C("loss", "Real loss at the end.", _NATS),
            C("real", "Its change from the reference, really trained.", _NATS),
            C("right", "Share of the sentence's second half that greedy decoding gets right."),
            C("right_estimated", "The same at the estimated weights."),
            C(c.FIRST, "Estimated change.", _NATS),
            C(c.ZEROTH, "Estimated without the Hessian.", _NATS),
            C(c.STORED, "Estimated with a stored Hessian.", _NATS, optional=True),
            C(c.TRACIN, "By influence.", _NATS),
            C(c.RECENCY, "By the recency curve of the reference.", _NATS),
            C(c.LATER, "Positions that the block is read earlier.", "blocks"),
            C(c.OTHERS, "Mean change under the other orders.", _NATS),
            C(c.MIXED, "The estimate for another order.", _NATS),
        ]),
        TableSchema("orders", "The other orders.", [
            _ORDER,
            C("made", "How it was made."),
            C("reads", "The blocks as they are read."),
            C("distance", "Share of pairs of blocks read the other way round (Kendall)."),
            C("moved", "Distance of the weights from the reference's at the end.", "norm"),
            C("changed", "Mean size of the real change of the blocks' losses.", _NATS),
            C("error", "Mean error of the estimate.", _NATS),
            C("error_zeroth", "Mean error without the Hessian.", _NATS),
            C("r", "Rank correlation over the blocks of this order.", "rank correlation"),
        ]),
        TableSchema("positions", "Memorization by position.", [
            _OF,
            _POSITION,
            C("apart", "Loss less the block's own mean over all orders.", _NATS),
            _LOW,
            _HIGH,
            C("right", "Share of the sentences' second halves that comes out."),
            C("n", "Blocks and orders."),
        ]),
        TableSchema("blocks", "What is read.", [
            _BLOCK,
            C("name", "Where the text is from."),
            C("text", "How it begins."),
            C("planted", "The sentence planted in it."),
            C("before", "Loss of the text before any block.", _NATS),
            C("loss", "After the reference order.", _NATS),
            C("planted_before", "Loss of the sentence's second half before.", _NATS),
            C("planted_loss", "After the reference order.", _NATS),
            C("right", "Share of it that comes out then."),
            C("twin_loss", "Loss of a sentence that was never read.", _NATS),
            C("twin_right", "Share of it that comes out."),
        ]),
        TableSchema("times", "What it took.", [
            C("what", "What was done for all orders."),
            C("seconds", "All together.", "s"),
            C("each", "For one order.", "s"),
        ]),
        CLAIMS_TABLE,
    ],
    findings=[
        F("estimate", "Estimated against really trained", "rank correlation"),
        F("rivals", "Other predictors and controls", "rank correlation"),
        F("sentences", "Planted sentences", "rank correlation, shares"),
        F("distance", "Error by distance", _NATS),
        F("position", "Memorization by position", _NATS),
        F("price", "Time", "seconds per order"),
        CLAIMS_FINDING,
    ],
)  # fmt: skip
