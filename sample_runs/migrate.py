"""Writes sample runs of an older format again in today's: `python -m sample_runs.migrate [NAME …]`.

Names change, switches become parts, and nothing else: numbers stay bit for bit, and so do the
sentences of findings and when a run was made. Without names, all that are older. With `--claims`
the claims of the paper are judged again by today's rules, from the numbers that the run holds; with
`--sentences` shares and tokens in findings' sentences are spelt as today.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from analyses.claims import say_claims
from sample_runs.make import RUNS, place_of
from workbench import registry, run_folder
from workbench.result import Result


def migrate(folder: Path, *, claims: bool = False) -> bool:
    """Whether the run was older, or judged otherwise, and has been written again.

    Args:
        claims: judge the claims again too.
    """
    stored = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    result = Result.open(folder)
    judged = claims and judge(result)
    if stored["format"] == run_folder.FORMAT and not judged:
        return False
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".migrating-") as work:
        made = result.save(Path(work) / folder.name)
        shutil.rmtree(folder)
        made.rename(folder)
    return True


def judge(result: Result) -> bool:
    """Judge the claims of a run from its own numbers; whether that changed what it says."""
    if "claims" not in result.tables:
        return False
    module = importlib.import_module(f"{registry.get(result.analysis).module.__name__}.claims")
    before = result.tables["claims"]
    say_claims(result, module.CLAIMS, module.PAPER)
    return not before.equals(result.tables["claims"])


def respell(folder: Path) -> bool:
    """Spell shares (39 %) and tokens (“ Paris”) in the sentences of a run as today; whether any
    was spelt otherwise. Nothing else in its folder is written.
    """
    file = folder / "result.json"
    text = file.read_text(encoding="utf-8")
    stored = json.loads(text)
    for finding in stored["findings"].values():
        says = re.sub(r"(?<=\d) ?%", "\u00a0%", finding["says"])
        finding["says"] = re.sub(r"(?<![\w)])'([^']{1,40})'(?!\w)", r"“\1”", says)
    spelt = json.dumps(stored, indent=1, ensure_ascii=False)
    if spelt == text.rstrip():
        return False
    file.write_text(spelt + text[len(text.rstrip()) :], encoding="utf-8")
    return True


def main(arguments: list[str]) -> None:
    options = {"--claims", "--sentences"} & set(arguments)
    names = [name for name in arguments if name not in options]
    for name in names or list(RUNS):
        done = migrate(place_of(name), claims="--claims" in options)
        if "--sentences" in options:
            done |= respell(place_of(name))
        print(f"{name}: {'written again' if done else 'is as today'}")


if __name__ == "__main__":
    main(sys.argv[1:])
