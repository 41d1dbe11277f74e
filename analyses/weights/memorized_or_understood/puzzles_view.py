"""What the part `puzzles` looks like."""

from analyses.weights.memorized_or_understood import puzzles_schema
from analyses.weights.memorized_or_understood import selections as sel
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_SCORES = {
    "other words": colour.MEMORY, "changed": colour.FUNCTION, "answer alone": colour.CONTEXT,
}  # fmt: skip
_PATH = {
    "trained": colour.MEMORY, "fresh": colour.CONTEXT, "trained, changed": colour.FUNCTION,
    "trained, other names": colour.BLUE_STROKE,
}  # fmt: skip


def _one(run: Result, pick: v.Pick) -> list[v.Item]:
    return [draw.paragraph(words) for words in sel.puzzle_in_words(run, pick)]


VIEWS = [
    v.View("Puzzles", needs="puzzles", otherwise="the part `puzzles` was not run", parts=[
        v.finding("puzzles", "limem", "contaminated", "untrained_puzzles"),
        v.row(
            v.chart("intervals", sel.solved, "version", "of", hues=sel.hues_of_solved, zero=False,
                    unit="puzzles (%)", title="Solved, by what was changed"),
            v.chart("intervals", sel.limem, "change", "of", hues=sel.hues_of_limem, zero=False,
                    unit="LiMem (%)", title="Solved, and the changed copy not (LiMem)"),
            widths=(420, 420),
        ),
        v.says(puzzles_schema.SOLVED, small=True), v.says(puzzles_schema.LIMEM, small=True),
        v.chart("intervals", sel.separations, "contrast", "score", _SCORES, zero=False, unit="AUC",
                title="Told apart, puzzle by puzzle; 0.5 is chance"),
        v.knob("prompt", "Puzzle", sel.puzzles, width=420), v.on("prompt", _one),
        v.table("limem", "LiMem by what was changed"), v.table("puzzles", "Puzzles solved"),
        v.table("told_apart", "What scores tell apart"), v.table("puzzle_items", "All puzzles"),
    ], first={"prompt": sel.first_puzzle}),
    v.View("Sizes", needs="puzzles", otherwise="the part `puzzles` was not run", parts=[
        v.finding("transfer"),
        v.chart("intervals", sel.sizes, "people", "of", {"solved": colour.CONTEXT,
                "at most by guessing": colour.OTHER}, zero=False, unit="puzzles (%)",
                title="Fresh puzzles solved, by their number of people"),
    ]),
    v.View("Along training", needs="path",
           otherwise="the part `path` was not run, or the model keeps no steps", parts=[
        v.finding("path"),
        v.row(
            v.chart("curves", sel.path, "step", "solved", "curve", interval=("low", "high"),
                    percent=True, scale="powers", hues=_PATH, xlabel="1 + updates", height=340,
                    ylabel="puzzles (%)", level={"chance": 0.125}, title="Solved, step by step"),
            v.chart("curves", sel.path_limem, "step", "limem", "of", interval=("low", "high"),
                    percent=True, scale="powers", hues=sel.HUES, xlabel="1 + updates", height=340,
                    ylabel="LiMem (%)", title="LiMem, and what chance gives"),
            widths=(420, 420),
        ),
        v.says(puzzles_schema.LIMEM, small=True),
        v.table("path_limem", "LiMem, step by step"), v.table("path", "Solved, step by step"),
    ]),
]  # fmt: skip
