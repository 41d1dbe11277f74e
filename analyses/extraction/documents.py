"""A verdict for each document, for somebody who wants to know whether the model can recite it.

The verdicts are about what comes out, and only that: a document that does not come out may have been read all the same, and
a text anybody would guess (a form, a list of numbers) comes out without having been.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.result import Finding, Result

if TYPE_CHECKING:
    from analyses.extraction.report import Found

RECITES, PARTS, SAMPLED, NOTHING = "recites it", "recites parts", "may say it when asked often", "no sign of it"
LONG = 20
"""Leading tokens that count as a part: text that was never read hardly ever reaches it, see docs/extraction.md."""
VARIED = 0.5
"""Share of different tokens below which a passage proves little, since it repeats itself (Stoehr et al. 2024)."""
PROVES = {
    RECITES: "Given the words before it, the model says at least one whole passage of this document word for word. It has"
    " almost certainly read it, here or quoted elsewhere.",
    PARTS: f"Given the words before it, the model says {LONG} tokens or more of a passage word for word, then departs. It has"
    " probably read it, or something much like it.",
    SAMPLED: "The likeliest continuation is another, but among so many samples a whole passage is to be expected.",
    NOTHING: "No passage of it came out of the model. That does not prove that the model has never read it: most of what a"
    " model reads once cannot be pulled out of it word for word.",
}


def say_documents(result: Result, found: Found) -> None:
    """The table `documents`, one row per document, and how many got which verdict."""
    import pandas as pd

    windows = result.tables["windows"]
    different = np.array([len(set(w.suffix)) / len(w.suffix) for w in found.windows])
    rows = []
    for name, part in windows.groupby("name", sort=False):
        at = part.index.to_numpy()
        best = int(at[np.argmax(part["match"].to_numpy())])
        telling = different[at] >= VARIED
        exact, long_, likely = (
            part["exact"] & telling,
            (part["match"] >= LONG) & telling,
            (part["tries"] <= found.params.tries) & telling,
        )
        verdict = RECITES if exact.any() else PARTS if long_.any() else SAMPLED if likely.any() else NOTHING
        ids = found.windows[best].suffix[: int(windows.loc[best, "match"])]
        rows.append(
            {
                "name": name,
                "verdict": verdict,
                "windows": len(part),
                "recited": float(part["match"].sum()) / (len(part) * found.params.suffix),
                "exact": int(part["exact"].sum()),
                "longest": int(part["match"].max()),
                "window": best,
                "evidence": found.text(ids),
                "repetitive": int((~telling).sum()),
            }
        )
    rank = {verdict: i for i, verdict in enumerate(PROVES)}
    table = pd.DataFrame(rows).sort_values(
        ["verdict", "longest"], key=lambda c: c.map(rank) if c.name == "verdict" else -c, kind="stable"
    )
    result.tables["documents"] = table.reset_index(drop=True)
    counts = {verdict: int((table["verdict"] == verdict).sum()) for verdict in PROVES}
    listed = ", ".join(f"{verdict}: {count}" for verdict, count in counts.items())
    result.add(
        Finding(
            "documents",
            {verdict.replace(" ", "_"): count for verdict, count in counts.items()},
            f"Of {len(table)} document{'s' if len(table) > 1 else ''} – {listed}.",
            unit="documents",
        )
    )
