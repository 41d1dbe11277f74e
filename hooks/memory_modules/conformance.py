"""Whether an adapter says the truth about its module: what it says is compared with what the module
does, also after slots were changed in the module itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.memory_calls import recorded
from hooks.memory_modules.places import MemoryPlace
from hooks.memory_modules.read_sums import read_sum, weight_of
from hooks.memory_modules.slot_changes import masked, output_beside, writes_skipped
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from workbench.errors import BadInput, WorkbenchError

Verdict = Literal["holds", "fails", "not checked"]
HOLDS: Verdict = "holds"
FAILS: Verdict = "fails"
OPEN: Verdict = "not checked"
CHECKS = (
    "slots", "weights", "sum", "keys", "mask all", "all off", "unread off", "read off", "pure",
    "rows", "frozen",
)  # fmt: skip
"""Names of what is checked, in this order."""
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-8}
_HALF = 3e-2


@dataclass(frozen=True)
class ConformanceLine:
    """One thing that was checked: its name in `CHECKS`, how it came out, and in words."""

    name: str
    verdict: Verdict
    says: str


@dataclass(frozen=True)
class Conformance:
    """What an adapter was found to be.

    Attributes:
        place: name of the memory.
    """

    place: str
    lines: tuple[ConformanceLine, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(line.name for line in self.lines if line.verdict == FAILS)

    def require(self) -> None:
        """Raises BadInput, naming the first check that failed, if there is one."""
        for line in self.lines:
            if line.verdict == FAILS:
                raise BadInput(
                    f"The adapter of {self.place} fails its conformance test at"
                    f" “{line.name}”: {line.says}",
                    "an adapter whose reads and slots say what the module does",
                    "Correct the adapter; `workbench modules check` shows every line.",
                )


def conformance_of_module(
    adapter: MemoryAdapter, module: nn.Module, *args: Any, **kwargs: Any
) -> Conformance:
    """Check an adapter on a module by itself, called with these arguments; tensors among them have
    the batch first.
    """

    def call(row: int | None) -> Any:
        def cut(x: Any) -> Any:
            if row is None or not isinstance(x, Tensor) or x.dim() < 2:
                return x
            return x[row : row + 1]

        return module(*map(cut, args), **{name: cut(x) for name, x in kwargs.items()})

    rows = next((len(x) for x in args if isinstance(x, Tensor) and x.dim() > 1), 1)
    return conformance(MemoryPlace(type(module).__name__, None, module, adapter), call, rows)


@torch.no_grad()
def conformance(
    place: MemoryPlace, call: Callable[[int | None], Any], rows: int = 1
) -> Conformance:
    """Check an adapter on a memory of a model.

    Args:
        call: runs something that calls the module: with None a whole batch, with a number that row
            of it alone. It has to give the same each time.
        rows: of the batch.
    """
    run = _Run(place, call, rows)
    lines = []
    for name, check in zip(CHECKS, _CHECKS, strict=True):
        try:
            complaint = check(run)
            verdict = HOLDS if complaint is None else FAILS
            lines.append(ConformanceLine(name, verdict, complaint or _HOLDS[name]))
        except _Open as reason:
            lines.append(ConformanceLine(name, OPEN, str(reason)))
        except WorkbenchError as error:
            says = f"{error.what} Expected: {error.expected}." if error.expected else error.what
            lines.append(ConformanceLine(name, FAILS, says))
        except Exception as error:  # whatever somebody's adapter does
            lines.append(ConformanceLine(name, FAILS, f"{type(error).__name__}: {error}"))
    return Conformance(place.name, tuple(lines))


class _Open(Exception):
    """Why something cannot be checked."""


class _Run:
    """A memory and the ways to call it."""

    def __init__(self, place: MemoryPlace, call: Callable[[int | None], Any], rows: int) -> None:
        self.place, self.adapter, self.rows = place, place.adapter, rows
        self._call = call
        self.start = place.slots() if place.adapter.is_written else None

    def output(self, row: int | None = None) -> Tensor:
        """What the module gives, last call."""
        return self.record(row)[0].output

    def record(self, row: int | None = None) -> tuple[MemoryCall, MemorySlots, MemoryReads]:
        """The last call, and what the adapter says of it."""
        self.reset()
        with recorded([self.place]) as log:
            self._call(row)
        if not log:
            raise BadInput("The memory's module was not called.", "a text that it reads", "")
        return log[-1].call, log[-1].slots, log[-1].reads

    def outputs(self) -> Tensor:
        """What the module gives, all hooks applied."""
        kept: list[Tensor] = []
        self.reset()

        def keep(module: nn.Module, args: Any, out: Any) -> None:
            kept.append(out if isinstance(out, Tensor) else out[0])

        handle = self.place.module.register_forward_hook(keep)
        try:
            self._call(None)
        finally:
            handle.remove()
        return kept[-1]

    def reset(self) -> None:
        """A memory that is written begins as it began."""
        if self.start is not None and self.adapter.restore is not None:
            self.adapter.restore(self.place.module, self.start)


def _far(got: Tensor, wanted: Tensor) -> float | None:
    """How far apart they are, as a share of the largest number; None where that is rounding."""
    scale = max(float(wanted.abs().max()), float(got.abs().max()), 1e-12)
    off = float((got - wanted).abs().max()) / scale
    return off if not off <= _TOLERANCE.get(got.dtype, _HALF) else None


def _slots_fit(run: _Run) -> str | None:
    _, slots, reads = run.record()
    for name, part in (("key", slots.key), ("value", slots.value)):
        if part is not None and part.shape[-2] != slots.count:
            return f"{slots.count} slots, but {part.shape[-2]} rows in `{name}`."
    heads = reads.weight.shape
    if len(heads) != 4:
        return f"`weight` has the axes {tuple(heads)}, not batch, pos, head, read."
    if reads.index is None:
        return None if heads[-1] == slots.count else (
            f"{heads[-1]} weights without `index`, but {slots.count} slots."
        )  # fmt: skip
    if reads.index.shape != heads:
        return f"`index` is {tuple(reads.index.shape)}, `weight` {tuple(heads)}."
    low, high = int(reads.index.min()), int(reads.index.max())
    if low < 0 or high >= slots.count:
        return f"slots {low} to {high} are read, but there are 0 to {slots.count - 1}."
    return None


def _weights_sum(run: _Run) -> str | None:
    reads = run.record()[2]
    if not bool(torch.isfinite(reads.weight).all()):
        return "weights are not all numbers."
    if reads.mass is None:
        raise _Open("its weights need not sum to anything")
    total = reads.weight.sum(-1)
    stated = torch.as_tensor(reads.mass, dtype=total.dtype).expand_as(total)
    if _far(total, stated) is None:
        return None
    worst = int((total - stated).abs().argmax())
    return (
        f"the weights of a head sum to {float(total.flatten()[worst]):.4g}, not"
        f" {float(stated.flatten()[worst]):.4g}."
    )


def _sum_is_output(run: _Run) -> str | None:
    call, slots, reads = run.record()
    made = output_beside(run.place, call) + read_sum(run.adapter, slots, reads, call.output)
    off = _far(made, call.output)
    return None if off is None else (
        f"the sum of weight × value is not the output: off by {off:.3g} of its largest number."
    )  # fmt: skip


def _keys_score(run: _Run) -> str | None:
    _, slots, reads = run.record()
    if reads.query is None or reads.score is None or slots.key is None:
        raise _Open("the adapter gives no query and score")
    key = slots.key[(None,) * (4 - slots.key.dim())].to(reads.query.dtype)
    key = key.expand(len(reads.query), reads.query.shape[2], -1, -1)
    every = torch.einsum("bphd,bhsd->bphs", reads.query, key)
    wanted = every if reads.index is None else every.gather(-1, reads.index)
    off = _far(reads.score, wanted)
    return None if off is None else f"scores are not query × key: off by {off:.3g}."


def _masking_all(run: _Run) -> str | None:
    call, slots, _ = run.record()
    with masked(run.place, range(slots.count)):
        got = run.outputs()
    off = _apart(got, output_beside(run.place, call), call.output)
    return None if off is None else f"with every slot masked {off:.3g} of the output is left."


def _apart(got: Tensor, wanted: Tensor, scale: Tensor) -> float | None:
    """As `_far`, on the scale of the module's whole output."""
    off = float((got - wanted).abs().max()) / max(float(scale.abs().max()), 1e-12)
    return off if not off <= _TOLERANCE.get(got.dtype, _HALF) else None


def _zeroed(run: _Run, slots: Tensor) -> Tensor:
    if run.adapter.zeroed is None:
        raise _Open("the adapter has no `zeroed`")
    with run.adapter.zeroed(run.place.module, slots):
        return run.outputs()


def _all_off(run: _Run) -> str | None:
    call, slots, _ = run.record()
    got = _zeroed(run, torch.arange(slots.count))
    off = _apart(got, output_beside(run.place, call), call.output)
    return None if off is None else (
        f"with every slot zero in the module {off:.3g} of its output is left."
    )  # fmt: skip


def _read_slots(slots: MemorySlots, reads: MemoryReads) -> Tensor:
    """True for slots that some token reads."""
    seen = torch.zeros(slots.count, dtype=torch.bool)
    if reads.index is None:
        return (reads.gated != 0).flatten(0, 2).any(0).cpu()
    seen[reads.index[reads.gated != 0].cpu()] = True
    return seen


def _unread_off(run: _Run) -> str | None:
    call, slots, reads = run.record()
    unread = (~_read_slots(slots, reads)).nonzero()[:, 0]
    if not len(unread):
        raise _Open("every slot is read")
    off = _apart(_zeroed(run, unread), call.output, call.output)
    return None if off is None else (
        f"slots that no token is said to read change the output by {off:.3g}."
    )  # fmt: skip


def _read_off(run: _Run) -> str | None:
    """The slot that is read most, zero in the module, takes away what the adapter says it gives."""
    call, slots, reads = run.record()
    used = _read_slots(slots, reads).nonzero()[:, 0].to(reads.weight.device)
    if not len(used):
        raise _Open("no slot is read")
    most = used[weight_of(reads, used[None]).abs().sum((0, 1, 2)).argmax()]
    alone = torch.zeros(1, slots.count, dtype=torch.bool, device=reads.weight.device)
    alone[0, most] = True
    wanted = call.output - read_sum(run.adapter, slots, reads, call.output, alone)
    off = _apart(_zeroed(run, most[None]), wanted, call.output)
    return None if off is None else (
        f"slot {int(most)}, zero in the module, changes the output by {off:.3g} more or less than"
        " its weight × value."
    )  # fmt: skip


def _is_pure(run: _Run) -> str | None:
    call, slots, reads = run.record()
    if run.adapter.is_written or run.adapter.is_read is not None:
        raise _Open("the slots change while text is read")
    again = run.adapter.reads(call)
    held = run.adapter.slots(run.place.module)
    same = torch.equal(again.weight, reads.weight) and held.count == slots.count
    if same and slots.value is not None and held.value is not None:
        same = torch.equal(held.value, slots.value)
    return None if same else "asked twice about one call, the adapter says two things."


def _rows_apart(run: _Run) -> str | None:
    if run.rows < 2:
        raise _Open("there is one row only")
    whole = run.output()
    # Some modules see all tokens of a batch in one row.
    whole = whole.reshape(run.rows, -1, whole.shape[-1])
    off = _apart(run.output(0).reshape(whole[:1].shape), whole[:1], whole)
    return None if off is None else (
        f"rows of a batch share this memory: alone the first row gives something else"
        f" ({off:.3g}). Read texts one by one."
    )  # fmt: skip


def _stays_frozen(run: _Run) -> str | None:
    if not run.adapter.is_written:
        raise _Open("the memory is not written while text is read")
    run.reset()
    # A new text may begin with other slots than the last one left: that is no write.
    with writes_skipped(run.place), recorded([run.place]) as log:
        run._call(None)
    left = run.adapter.writes(log[0].slots, run.place.slots())
    run.reset()
    return None if not left else f"frozen, {len(left)} slots were written all the same."


_CHECKS = (
    _slots_fit, _weights_sum, _sum_is_output, _keys_score, _masking_all, _all_off, _unread_off,
    _read_off, _is_pure, _rows_apart, _stays_frozen,
)  # fmt: skip
_HOLDS = {
    "slots": "numbers and shapes fit",
    "weights": "the weights of each head sum to the stated mass",
    "sum": "the sum of weight × value is the output",
    "keys": "scores are query × key",
    "mask all": "with every slot masked nothing is left but what stands beside the sum",
    "all off": "with every slot zero in the module the same is left",
    "unread off": "slots that are not read change nothing",
    "read off": "a slot that is read takes away its weight × value",
    "pure": "asked twice the adapter says the same",
    "rows": "rows of a batch are apart",
    "frozen": "with writes skipped nothing is written",
}
