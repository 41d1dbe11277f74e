"""Names that the tables of a run use."""

NAME = "forgetting"

NEUTRAL, TASK, OWN = SETS = ("neutral", "task", "own")
"""What forgetting is measured on: text of neither task, text like the new task's, and what the base
model writes by itself."""

BASE, TUNED = "base", "fine-tuned"

FREE, AMONG, PROBE, SHOTS, REALIGNED = TESTS = (
    "free generation",
    "among the answers",
    "probe",
    "few-shot",
    "re-alignment",
)

UP, DOWN = "bottom-up", "top-down"
HALVES, SHRUNK = "random halves", "shrunk by half"

PATH = tuple(round(-0.2 + 0.1 * n, 1) for n in range(15))
"""Shares of the update along the line from the base to the fine-tuned model, and a little past."""

FEWEST = 8
"""Facts that an interval over facts needs before a claim is judged."""
LEAST_ROWS = 4
"""Rows of the new task without which nothing can be trained and measured."""
STEP_ROWS = 8
"""Facts that one step of re-alignment reads."""
REALIGN_WARMUP = 2
OVERLAP = 16
"""Tokens in a row that two texts have in common when they overlap."""
