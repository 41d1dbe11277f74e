"""Running an analysis, and the folders where finished runs lie."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import re
import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import (
    account,
    paths,
    registry,
    remote,
    run_labels,
    run_titles,
    run_workers,
)
from workbench.errors import BadRun, Cancelled, NotFound, Unfit, WorkbenchError
from workbench.peak_memory import PeakMemory
from workbench.progress import Progress
from workbench.result import Provenance, Result
from workbench.run_folder import read_index
from workbench.schema import SchemaMismatch

if TYPE_CHECKING:
    from pydantic import BaseModel

    from workbench.grid.workers import Workers

_VERSIONED = ("memory-workbench", "torch", "transformers", "numpy", "xarray", "safetensors")


def run(
    analysis: str,
    model: Any = None,
    params: BaseModel | Mapping[str, Any] | None = None,
    *,
    seed: int | None = None,
    progress: Progress | None = None,
    out: str | Path | None = None,
    workers: Workers | None = None,
) -> Result:
    """Ask one question of one model.

    Args:
        analysis: its name; `workbench analyses` lists them.
        model: an `InstrumentedModel`, or anything `wb.load` takes; None is the default model.
        params: the analysis's `Params`, or values for them; what is left out keeps its default.
        seed: makes the run repeatable; goes into `params.seed` where the analysis has one.
        progress: where to report, and how to cancel.
        out: save the run there.
        workers: who reads long texts, in parts; they load the model by themselves. Every number is
            the same for any number of them.

    Raises:
        NotFound, BadInput, Unfit: bad names, bad values, a model that cannot answer.
        Cancelled: stopped by the user; its `kept` is the partial result, stamped like a whole one.
    """
    asked = registry.get(analysis)
    if params is None or isinstance(params, Mapping):
        params = asked.parse(params or {})
    if seed is not None and "seed" in type(params).model_fields:
        params = asked.parse({**params.model_dump(exclude_unset=True), "seed": seed})
    seed = getattr(params, "seed", seed) or 0
    if workers is not None:
        run_workers.check(asked)
        workers.check()
    model = _loaded(model)
    reason = asked.unavailable_reason(model)
    if reason:
        raise Unfit(
            f"{model.card.name} cannot answer {asked.name!r}: {reason}",
            do="Choose another model or analysis.",
        )
    params = account.with_possible_parts(asked, model, params)
    account.check_parts(asked, model, params)
    progress = progress or Progress()
    # Before the seed and the clock: the pass that is measured is no part of the run.
    stated = account.stated(asked, model, params)
    progress.expect(stated.get("seconds"))

    import torch

    torch.manual_seed(seed)
    stamp = _Stamp(asked, model, params, seed, stated)
    try:
        with run_workers.running_on(workers):
            result = stamp(asked.run(model, params, progress))
    except Cancelled as stop:
        kept = stop.kept if stop.kept is not None else progress.kept
        if kept is not None:
            kept = stamp(kept)
            kept.partial = True
        raise Cancelled(kept=kept) from None
    if out is not None:
        result.save(out)
    return result


def _loaded(model: Any) -> Any:
    """The model, loaded unless it is one already."""
    import workbench as wb

    if model is None:
        return wb.load()
    return model if hasattr(model, "card") else wb.load(model)


class _Stamp:
    """Writes onto a result what was asked of which model, when, and on which machine.

    Its making is the start of the run.
    """

    def __init__(
        self,
        asked: registry.Analysis,
        model: Any,
        params: BaseModel,
        seed: int,
        stated: dict[str, Any],
    ) -> None:
        self._asked, self._model, self._params, self._seed = asked, model, params, seed
        self._card, self._stated = model.card, stated
        self._memory = PeakMemory(str(getattr(model.card, "device", "cpu")))
        self._started, self._clock = dt.datetime.now(dt.UTC), time.monotonic()
        if hasattr(model, "past_window"):  # not a stand-in
            model.longest, model.controls, model.shrunk = 0, [], 0

    def __call__(self, result: Any) -> Result:
        """Raises WorkbenchError for what is no result."""
        import torch

        asked, card, model = self._asked, self._card, self._model
        if not isinstance(result, Result):
            raise WorkbenchError(
                f"{asked.name!r} of package {asked.package!r} gave a {type(result).__name__}.",
                "a workbench.Result from its run(…)",
                "Tell whoever wrote it.",
            )
        peak = self._memory.taken()
        result.analysis, result.question = asked.name, asked.question
        result.params = self._params.model_dump(mode="json")
        result.provenance = Provenance(
            model=asdict(card) if is_dataclass(card) and not isinstance(card, type) else dict(card),
            seed=self._seed,
            versions=versions(),
            started=self._started.isoformat(timespec="seconds"),
            duration=round(time.monotonic() - self._clock, 2),
            machine=f"{platform.machine()}, {torch.get_num_threads()} CPU threads",
            notes=result.provenance.notes,
            cost=self._stated | ({} if peak is None else {"peak_bytes": peak}),
        )
        if hasattr(model, "past_window") and (past := model.past_window(model.longest)) is not None:
            result.provenance.notes["window"] = past
        result.made_title = run_titles.make_title(result)
        if problems := list(asked.schema.problems(result)):
            # Said and kept, not raised: what was measured for an hour is not lost for a wrong word.
            result.provenance.notes["schema"] = " ".join(problems)
            warnings.warn(f"{asked.name}: {' '.join(problems)}", SchemaMismatch, stacklevel=3)
        if hasattr(model, "rounding") and (rounding := model.rounding()) is not None:
            result.provenance.notes["rounding"] = rounding
        if hasattr(model, "smaller_batches") and (memory := model.smaller_batches()) is not None:
            result.provenance.notes["memory"] = memory
        return result


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def new_folder(result: Result, root: Path | None = None) -> Path:
    """A new, empty folder for a run, named after time, analysis and model.

    No other thread or process gets the same one.

    Raises:
        WorkbenchError: no folder can be made there.
    """
    root = root or paths.runs_dir()
    when = dt.datetime.now().strftime("%Y%m%d-%H%M%S")
    model = _plain(str(result.provenance.model.get("name", ""))) or "model"
    name = f"{when}-{_plain(result.analysis) or 'run'}-{model}"
    folder, n = root / name, 2
    try:
        root.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                # who makes it has it: asking first whether it is there leaves time for somebody
                # else
                folder.mkdir()
                return folder
            except FileExistsError:
                folder, n = root / f"{name}-{n}", n + 1
    except OSError as error:
        raise WorkbenchError(
            f"The run could not be written to {root}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            "Choose another place with --out DIR (or WORKBENCH_RUNS), or make room.",
        ) from error


def save_new(result: Result, root: Path | None = None) -> Path:
    """Save a run in a new folder; if that fails, the folder is not left behind.

    Raises:
        WorkbenchError: it cannot be written.
    """
    folder = new_folder(result, root)
    try:
        return result.save(folder)
    except BaseException:
        folder.rmdir()  # still empty: a run is written whole or not at all
        raise


def rescue(result: Result, problem: WorkbenchError) -> Path:
    """Save a run that could not be written where it belongs, which is `problem`, in the current
    folder or that for temporary files: the work is not lost.

    Raises:
        WorkbenchError: `problem`, where it cannot be written there either.
    """
    for other in (Path.cwd(), Path(tempfile.gettempdir())):
        try:
            return save_new(result, other)
        except WorkbenchError:
            continue
    raise problem


def _plain(text: str) -> str:
    """A piece of a folder's name: both texts may come from a stranger's run."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text)[-40:].strip("-.")


@dataclass(frozen=True)
class RunEntry:
    """A line of a listing. `problem` says why a folder that looks like a run cannot be read.

    Args:
        title: what a person calls it, else what it was called when it ran.
        linked: it lies elsewhere, and only a link to it is among the runs.
        says: the sentence of every finding, by its name.
    """

    id: str
    path: Path
    title: str = ""
    analysis: str = ""
    model: str = ""
    started: str = ""
    duration: float = 0.0
    partial: bool = False
    sample: bool = False
    linked: bool = False
    problem: str = ""
    labels: run_labels.Labels = field(default_factory=run_labels.Labels)
    says: Mapping[str, str] = field(default_factory=dict)


def listing(root: Path | None = None, *, samples: bool = True) -> list[RunEntry]:
    """Runs in `root` (default: the user's) and the sample runs; the user's first, of each the
    pinned ones before the others, newest first.
    """
    places: list[tuple[Path, bool]] = [(root or paths.runs_dir(), False)]
    if samples:
        places += [(place, True) for place in paths.sample_runs_dirs()]
    entries = [entry for place, sample in places for entry in entries_in(place, sample=sample)]
    return sorted(entries, key=lambda e: (not e.sample, e.labels.pinned, e.started), reverse=True)


def with_runs_of_grids(entries: Iterable[RunEntry]) -> Iterable[RunEntry]:
    """These runs, then those that lie in the folders of grids among them."""
    grids = []
    for entry in entries:
        yield entry
        if entry.analysis == registry.GRID and not entry.problem:
            grids.append(entry)
    for entry in grids:
        yield from entries_in(entry.path.resolve() / "runs", sample=entry.sample)


def entries_in(place: Path, *, sample: bool) -> Iterable[RunEntry]:
    """A line for each run in one folder."""
    if not place.is_dir():
        return
    for folder in sorted(place.iterdir()):
        # A name with a dot in front is a run still being written, or one whose writing was killed.
        if folder.name.startswith("."):
            continue
        linked = folder.is_symlink()
        try:
            about = (folder / "result.json").stat()
        except OSError:
            if linked and not folder.exists():
                gone = f"It was opened from {os.readlink(folder)}, where it is no more."
                yield RunEntry(folder.name, folder, folder.name, linked=True, problem=gone)
            continue
        entry = _entry(folder, about.st_mtime_ns, about.st_size)
        labels = run_labels.read(folder)
        yield replace(
            entry, sample=sample, linked=linked, labels=labels, title=labels.title or entry.title
        )


@lru_cache(maxsize=4096)
def _entry(folder: Path, changed: int, size: int) -> RunEntry:
    """What `result.json` says, which is read again when it has changed."""
    try:
        index = read_index(folder)
    except BadRun as problem:
        return RunEntry(folder.name, folder, folder.name, problem=problem.what)
    about = index["provenance"]
    model = run_titles.cut(str(about.get("model", {}).get("name", "")), 100)
    kept = run_titles.one_line(str(index.get("title") or ""))
    return RunEntry(
        folder.name,
        folder,
        title=kept or run_titles.plain_title(index["analysis"], model),
        analysis=index["analysis"],
        model=model,
        started=about.get("started", ""),
        duration=float(about.get("duration", 0)),
        partial=bool(index.get("partial")),
        says={name: str(f.get("says", "")) for name, f in index["findings"].items()},
    )


def find(run: str, root: Path | None = None) -> RunEntry:
    """The line of a run by its id ("latest" is the newest of the user's own).

    Raises:
        NotFound: no such run (the nearest is suggested).
    """
    entries = listing(root)
    if run == "latest":
        own = [e for e in entries if not e.sample and not e.problem]
        if own:
            return max(own, key=lambda e: e.started)
    for entry in with_runs_of_grids(entries):
        if entry.id == run:
            return entry
    raise NotFound.named("run", run, [e.id for e in entries], do="`workbench runs` lists them.")


def open_run(ref: str | Path, root: Path | None = None) -> Result:
    """A run by its folder, by an address (`s3://…`), or by the id that `workbench runs` lists
    ("latest" is the newest of the user's own).

    Raises:
        NotFound: no such run (the nearest is suggested).
        BadRun: it cannot be read.
    """
    if isinstance(ref, str) and remote.is_address(ref):
        return Result.open(remote.fetch(ref, remote.RUN, remote.MOST_OF_A_RUN))
    path = Path(ref)
    # A "name" of thousands of characters or none at all is no folder; asking the system about it is
    # an error.
    if 0 < len(str(ref)) < 4096 and all(len(part) < 256 for part in path.parts) and path.is_dir():
        return Result.open(path)
    return Result.open(find(str(ref), root).path)
