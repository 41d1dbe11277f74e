"""Lost or only misplaced: one rule for what tests say of facts that are no longer answered freely.

"Misaligned" facts are still in the model but no longer come out by themselves (Learn or Recall,
2312.07887; spurious forgetting, Zheng et al. 2025). A test that asks in another way is read against
what it would give without the facts, its floor, and what it gave before training:

    kept share = (after - floor) / (before - floor)

A test *holds* where the 95 % interval of the kept share lies above one half, *falls* where it lies
below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

KEPT, MISPLACED, LOST, PARTLY, OPEN = VERDICTS = (
    "kept",
    "misplaced",
    "lost",
    "partly lost",
    "cannot be told",
)
HALF = 0.5
DRAWS = 2000
LEAST, LITTLE = 0.05, 0.1
"""Free answers fell where they surely fell by more than the first, and did not where they surely
fell by no more than the second."""


@dataclass(frozen=True)
class RetentionTest:
    """What one way of asking says of the same facts before and after training.

    Attributes:
        before, after: of each fact, 1 right and 0 wrong, (fact,).
        floor: of each fact, what the test gives without the facts, between 0 and 1, (fact,); or
            (control,) of facts of its own.
    """

    before: Float[np.ndarray, " fact"]
    after: Float[np.ndarray, " fact"]
    floor: Float[np.ndarray, " control"]


@dataclass(frozen=True)
class KeptShare:
    """What is left of a test, with its 95 % interval (bootstrap over facts); NaN where the test
    says nothing, since before training it was no better than without the facts.
    """

    value: float
    low: float
    high: float

    @property
    def holds(self) -> bool | None:
        """True, False, or None where it cannot be told."""
        if np.isnan(self.value):
            return None
        return True if self.low > HALF else False if self.high < HALF else None


def retained_share(test: RetentionTest, seed: int = 0) -> KeptShare:
    """(after - floor) / (before - floor)."""
    if not len(test.before) or not len(test.floor):
        return KeptShare(np.nan, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    n, m = len(test.before), len(test.floor)
    draws = rng.integers(0, n, (DRAWS, n))
    floors = rng.integers(0, m, (DRAWS, m))
    before, after = test.before[draws].mean(1), test.after[draws].mean(1)
    floor = test.floor[floors].mean(1)
    room = before - floor
    # A test that told nothing before training tells nothing after it.
    if float(np.percentile(room, 2.5)) <= 0:
        return KeptShare(np.nan, np.nan, np.nan)
    low, high = np.percentile((after - floor) / np.maximum(room, 1e-9), [2.5, 97.5])
    whole = (test.after.mean() - test.floor.mean()) / (test.before.mean() - test.floor.mean())
    return KeptShare(float(whole), float(low), float(high))


def verdict(fell: bool | None, shares: Mapping[str, KeptShare]) -> str:
    """One of `VERDICTS`.

    Kept: free answers did not fall. Misplaced: they fell, and answers come out in another way
    (a test of `SAID` holds); a test that falls beside it says nothing, since what comes out must
    be there. Lost: re-alignment falls and no test holds. Partly lost: a probe alone holds, or
    re-alignment brings some back and cannot be told from one half. Otherwise it cannot be told.

    Args:
        fell: whether free answers fell; None where that cannot be told.
        shares: what is left of the other tests, by name: those of `SAID` let the model say answers,
            of which the first is re-alignment; any other only reads its states.
    """
    if fell is not True:
        return KEPT if fell is False else OPEN
    again = shares.get(SAID[0])
    if any(share.holds for name, share in shares.items() if name in SAID):
        return MISPLACED
    if any(share.holds for share in shares.values()):
        return PARTLY
    if again is None or again.holds is False:
        falls = [share.holds is False for share in shares.values()]
        return LOST if again is not None or (falls and all(falls)) else OPEN
    return PARTLY if again.low > 0 else OPEN


SAID = ("re-alignment", "among the answers", "few-shot")


def has_fallen(before: np.ndarray, after: np.ndarray, seed: int = 0) -> bool | None:
    """Whether free answers fell: True where the interval of the fall (bootstrap over facts) lies
    above `LEAST`, False where it lies lower and ends at `LITTLE` or below, None otherwise.
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(before), (DRAWS, len(before)))
    low, high = np.percentile((before - after)[draws].mean(1), [2.5, 97.5])
    return True if low > LEAST else False if high <= LITTLE else None
