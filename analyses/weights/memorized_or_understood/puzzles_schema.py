"""What the tables and findings of the part `puzzles` mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import TableSchema

LOW, HIGH = C("low", "Lower end of its 95 % interval."), C("high", "Upper end.")
MODEL = C("model", "Who is asked: the model, an untrained one of its build, or a clean model.")
_OF = C("of", "Trained: the model has read them; fresh: it cannot have.", title="puzzles")
_PEOPLE = C("people", "People of a puzzle.")
_N = C("n", "Puzzles.")
SOLVED = (
    "A puzzle is solved where every person is named rightly. Statement and leaf change what one"
    " person says, and the solution with it; the other copies say the same in other words. Who only"
    " recalls fails at both; who solves at neither."
)
LIMEM = (
    "LiMem is the share solved whose changed copies are not (Xie et al. 2024). Who guesses every"
    " copy by itself has accuracy × (1 − accuracy on copies) of it, the mark “by chance”, so LiMem"
    " alone proves nothing: it has to be higher on puzzles that were read than on fresh ones."
)
CONSISTENCY = [
    C("accuracy", "Share that is solved as it stands."),
    C("accuracy_low", "Lower end of its 95 % interval."),
    C("accuracy_high", "Upper end."),
    C("changed", "Share of the changed copies that are solved."),
    C("consistent", "Of the copies of solved ones, the share that is solved too (CR)."),
    C("limem", "Share that is solved with copies that are not.", title="LiMem"),
    C("low", "Lower end of its 95 % interval."),
    C("high", "Upper end."),
    C("null", "LiMem where copies have nothing to do with it: accuracy × (1 − changed).",
      title="by chance"),
    C("excess", "LiMem less that.", title="LiMem less chance"),
    C("excess_low", "Lower end of its 95 % interval."),
    C("excess_high", "Upper end."),
    C("n", "How many have such a copy."),
]  # fmt: skip
TABLES = [
    TableSchema("puzzles", "Puzzles solved, by who is asked, which puzzles, and version.", [
        MODEL, _OF, _PEOPLE,
        C("version", "As it stands, or what was changed."),
        C("solved", "Share of which every person is named rightly."),
        LOW, HIGH,
        C("right", "Share of people named rightly; chance is one half."),
        C("chance", "What guessing every person gives."),
        C("majority", "What one answer to all of them gives at most."),
        _N,
    ]),
    TableSchema("limem", "LiMem by what was changed.", [
        MODEL, _OF, _PEOPLE,
        C("change", "What was changed: a whole statement, one side of one, or both kinds of copy."),
        *CONSISTENCY,
    ]),
    TableSchema("told_apart", "Whether scores of single puzzles tell what was read.", [
        C("contrast", "What is told apart."),
        MODEL,
        C("score", "ln p of the answer less that of the copies in other words, less that of changed"
          " copies, or alone."),
        C("auc", "How often a puzzle of the first kind scores higher; 0.5 is chance.", title="AUC"),
        LOW, HIGH,
        C("n", "Puzzles of the first kind."),
        C("others", "Puzzles of the second."),
    ]),
    TableSchema("path", "Puzzles solved along training.", [
        C("step", "Updates done."),
        _OF,
        C("version", "As it stands, what was changed, or both kinds of changed copy."),
        C("n", "Puzzles."),
        C("solved", "Share that is solved."),
        LOW, HIGH,
    ]),
    TableSchema("path_limem", "LiMem along training, of both kinds of changed copy.", [
        C("step", "Updates done."), _OF, *CONSISTENCY,
    ]),
    TableSchema("puzzle_items", "Every puzzle as it stands.", [
        C("item", "Its number, from 0.", title="puzzle"),
        _OF, _PEOPLE,
        C("solved", "Whether every person is named rightly."),
        C("p", "How likely the right words are, each against the wrong one alone."),
        C("copies", "Share of its changed copies that are solved."),
        C("other_words", "Share of its copies in other words that are solved."),
        C("text", "What the model reads."),
        C("answer", "The right answer."),
    ]),
]  # fmt: skip
FINDINGS = [
    F("puzzles", "Puzzles solved", "share of puzzles"),
    F("limem", "Solved, and a changed copy not", "LiMem"),
    F("contaminated", "What was read told from what was not", "AUC"),
    F("untrained_puzzles", "The same build, untrained", "share of puzzles"),
    F("path", "Solved at the end of training", "share of puzzles"),
    F("transfer", "Puzzles of other sizes", "share of puzzles"),
]
