"""`workbench trace`."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli import parse_values
from workbench.cli.run import Bits, Device, Dtype, Json, MaxMemory, Model, Offload
from workbench.cli.workers import Address, Engine, on_workers
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.models.conversation import Conversation, is_conversation, typed
from workbench.models.known_models import DEFAULT
from workbench.terminal import bar, err, out, plain, print_json, show_table
from workbench.unicode import check_unicode

if TYPE_CHECKING:
    from workbench.trace import Trace
    from workbench.trace_files.destination import Destination

Prompt = str | list[int] | Conversation

_STDIN = "-"


def trace(
    folder: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the trace, or an address (s3://…); an unfinished one is continued.",
            show_default=False,
        ),
    ],
    texts: Annotated[list[str] | None, typer.Argument(help="Prompts.", show_default=False)] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", "-p", help="A prompt; repeat for several.", show_default=False),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(
            help="A file with one prompt per line, a .jsonl file, its address (s3://…), or -"
            " (stdin).",
            show_default=False,
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            min=1, help="Split longer texts into prompts of this many tokens.", show_default=False
        ),
    ] = None,
    site: Annotated[
        list[str] | None, typer.Option(help="Site to record, e.g. z; repeat for several.")
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Layers, e.g. 0,3-5. Default: all.", show_default=False)
    ] = None,
    positions: Annotated[
        str | None,
        typer.Option(
            help="Positions, e.g. 0,-1 (-1 is the last token). Default: all.", show_default=False
        ),
    ] = None,
    chat: Annotated[
        bool,
        typer.Option(
            "--chat", help="Read each text in the model's chat format, as a user message."
        ),
    ] = False,
    reduce: Annotated[
        list[str] | None,
        typer.Option(
            help="Reduce values: REDUCER, or SITE=REDUCER; e.g. norm, pattern=topk:8.",
            show_default=False,
        ),
    ] = None,
    store: Annotated[
        str, typer.Option(help="Data type of stored values: float32, float16 or bfloat16.")
    ] = "float32",
    batch_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens per batch, padding included.")
    ] = 2048,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="Write the shards with this many processes, each with its own model.",
            show_default=False,
        ),
    ] = None,
    engine: Engine = "local",
    address: Address = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Write more than 1 GB without asking.")
    ] = False,
    model: Model = DEFAULT,
    device: Device = "auto",
    dtype: Dtype = None,
    max_memory: MaxMemory = None,
    offload: Offload = None,
    bits: Bits = None,
    as_json: Json = False,
) -> None:
    """Run prompts through a model and record activations at chosen sites."""
    import workbench as wb
    from workbench.grid.engine import Loading
    from workbench.models import locate
    from workbench.trace_files.destination import destination

    source = _Source(
        [*(texts or []), *(prompt or [])], prompts, _stdin() if prompts == _STDIN else None, chat
    )
    if not any(True for _ in source):
        raise BadInput(
            "There is nothing to run.", "a prompt", "Add a TEXT, --prompt TEXT or --prompts FILE."
        )
    where = (
        parse_values.numbers(layers, "layer"),
        parse_values.numbers(positions, "position", negative=True),
    )
    reducers = _reducers(reduce or [])
    locate(model)
    loading = Loading(device, dtype, max_memory, str(offload) if offload else None, bits)
    pool = on_workers(workers, model, engine, address, loading)
    place = destination(folder)
    place.check_writable()
    with bar() as progress:
        progress(0.0, f"Loading {model}")
        loaded = wb.load(
            model, device, dtype, progress, max_memory=max_memory, offload=offload, bits=bits
        )
        progress.check()
    given: Any = source if window is None else wb.windows(loaded, source, window)
    asked: dict[str, Any] = {
        "sites": site or ["resid_post"],
        "layers": where[0],
        "positions": where[1],
    }
    asked |= {"reduce": reducers, "dtype": store}
    agreed = _agree(wb.estimate(loaded, given, **asked), place, yes, may_ask=prompts != _STDIN)
    try:
        with bar() as progress:
            captured = wb.capture(
                loaded,
                given,
                **asked,
                batch_tokens=batch_tokens,
                out=folder,
                confirm=agreed,
                workers=pool,
                progress=progress,
            )
    except Cancelled:
        raise Cancelled(_what_was_saved(place)) from None
    if past := loaded.past_window(max(captured.lengths, default=0)):
        err().print(plain(past), soft_wrap=True)
    _report(captured, folder, as_json)


def _report(captured: Trace, folder: str, as_json: bool) -> None:
    sizes = {name: captured.sizes(name) for name in captured}
    if as_json:
        about = {
            "path": folder,
            "prompts": len(captured.lengths),
            "tokens": sum(captured.lengths),
        }
        print_json({**about, "bytes": captured.nbytes, "sites": sizes})
        return
    show_table(
        ["site", "array"],
        [
            (name, " × ".join(f"{n} {axis}" for axis, n in axes.items()))
            for name, axes in sizes.items()
        ],
    )
    out().print(
        f"Saved as {plain(folder)}\n[dim]Open it: wb.Trace.open({plain(repr(folder))})[/]",
        soft_wrap=True,
    )


def _reducers(given: list[str]) -> str | dict[str, str] | None:
    """`REDUCER` for all sites, or `SITE=REDUCER` by site."""
    by_site: dict[str, str] = {}
    for text in given:
        name, equals, reducer = text.partition("=")
        if equals and ":" not in name:  # in project:FILE the file may have any name
            by_site[name.strip()] = reducer
        elif len(given) > 1:
            raise BadInput(
                f"--reduce {text!r} is for all sites, and there is another.",
                "SITE=REDUCER for each",
                "Name its site.",
            )
        else:
            return text
    return by_site or None


def _agree(nbytes: int, place: Destination, yes: bool, *, may_ask: bool) -> bool:
    """Say how much will be written; ask if that is a lot.

    Raises:
        WorkbenchError: nobody is there to be asked.
        Cancelled: no.
    """
    from workbench.disk_space import AGREED, size

    there = place.written()
    left = max(nbytes - there, 0)
    done = f"; {size(there)} are there already" if there else ""
    err().print(f"The trace takes about {size(nbytes)}{done}.", soft_wrap=True)
    place.check_room(left)
    if left <= AGREED or yes:
        return True
    if not (may_ask and sys.stdin.isatty()):
        raise WorkbenchError(
            f"{size(left)} would be written to {place.name}, and nobody can confirm it.",
            f"at most {size(AGREED)}, or --yes",
            "Add --yes, or keep less: --reduce, --layers, --positions, --store float16.",
        )
    if not typer.confirm(f"Write {size(left)} to {place.name}?", err=True):
        raise Cancelled("Nothing was written.")
    return True


def _what_was_saved(place: Destination) -> str:
    """What a stopped capture left."""
    begun = place.manifest() if place.has_manifest() else None
    finished = 0 if begun is None else sum(map(len, place.finished(begun).values()))
    if not finished:
        return "Stopped before the first prompts were saved. The same command starts again."
    return (
        f"Stopped. {finished:,} prompts are saved in {place.name}; the same command continues"
        " after them."
    )


def _stdin() -> list[str]:
    """The lines that stand on stdin.

    Raises:
        BadInput: they are not text.
    """
    try:
        return sys.stdin.read().removeprefix("\ufeff").split("\n")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"What came in is not UTF-8: {error.reason}.", "UTF-8 text", "Convert it."
        ) from error


@dataclass(frozen=True)
class _Source:
    """Prompts typed and prompts in a file, read anew each time: a file may be larger than memory.

    Every text is taken as it stands, with backslashes and all.

    Raises:
        BadInput: while it is read, for whatever cannot be used.
    """

    texts: list[str]
    file: str | None
    lines: list[str] | None  # what stood on stdin, which can be read only once
    chat: bool  # every text is what a user says

    def __iter__(self) -> Iterator[Prompt]:
        for text in self.texts:
            if not text:
                raise BadInput("A prompt is empty.", "a prompt", "Type something, or leave it out.")
            yield self._prompt(text, "A prompt")
        if self.lines is not None:
            for n, line in enumerate(self.lines, start=1):
                if line.strip():
                    yield self._prompt(line, f"Line {n} of stdin")
        elif self.file is not None:
            yield from self._of_file(self.file)

    def _of_file(self, file: str) -> Iterator[Prompt]:
        from workbench.text_files import one_file, text_path

        found = one_file(text_path(file), "file of prompts", "a text file, one prompt per line")
        n, empty, is_json = 0, True, found.suffix in {".jsonl", ".ndjson"}
        try:
            with io.TextIOWrapper(found.open(), encoding="utf-8-sig") as lines:
                for n, line in enumerate(lines, start=1):
                    if line.strip():
                        empty, where = False, f"Line {n} of {file}"
                        yield self._prompt(
                            _of_json(line, where) if is_json else line.removesuffix("\n"), where
                        )
        except UnicodeDecodeError as error:
            raise BadInput(
                f"{file} is not UTF-8: {error.reason} after line {n}.",
                "UTF-8 text",
                "Save it as UTF-8.",
            ) from error
        if empty:
            raise BadInput(
                f"{file} holds no prompts.", "one prompt per line", "Write at least one."
            )

    def _prompt(self, given: Prompt, where: str) -> Prompt:
        if isinstance(given, str):
            check_unicode(given, where)
            return typed(given, self.chat)
        if is_conversation(given):
            for message in given:
                check_unicode(message["content"], where)  # type: ignore[index]
        elif self.chat:
            raise BadInput(
                f"{where} is a list of token ids, not a message.",
                "a text, or messages",
                "Leave out --chat.",
            )
        return given


def _of_json(line: str, where: str) -> Prompt:
    """A prompt from a line of JSON: a text, token ids or messages, or an object with one of
    them.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} is not JSON: {error}.", '{"text": "…"}', "Correct it.") from error
    if isinstance(value, dict):
        value = next((value[key] for key in ("messages", "text", "prompt") if key in value), None)
    if isinstance(value, str) and value:
        return value
    if (
        isinstance(value, list)
        and value
        and (all(type(i) is int for i in value) or all(map(_is_message, value)))
    ):
        return value
    raise BadInput(
        f"{where} holds no prompt.",
        'a text, {"text": "…"}, {"messages": [{"role": "user", "content": "…"}]}, or a list of'
        " token ids",
        "Correct it.",
    )


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(key), str) for key in ("role", "content")
    )
