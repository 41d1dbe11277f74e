"""One walk over prompts that are read together, with its control: what causal tracing and attention
knockout stand on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.layer_replay import RecordedSuffix, check_same, logit_error, read
from hooks.metrics import Prob
from hooks.rounding import note, of_effects
from hooks.sweeps.batched_forward import BatchedForward, Edit
from hooks.sweeps.readout import Readout
from hooks.sweeps.runner import rows_at_once

if TYPE_CHECKING:
    from hooks.batch import Batch
    from hooks.model import InstrumentedModel
    from hooks.sites import Place


@dataclass
class WatchedWalk:
    """Variants of prompts, read by the probability of one token after each.

    Args:
        targets: per prompt, the id of the token that is watched.
        ids: the prompts.

    Attributes:
        error: the largest difference between a control's logits and the model's own.
        moved: the largest change of the probability of a control.
    """

    model: InstrumentedModel
    targets: Sequence[int]
    ids: Sequence[Sequence[int]]
    error: float = 0.0
    moved: float = 0.0
    whole: bool = False
    _largest: list[Tensor] = field(default_factory=list)

    @torch.no_grad()
    def run(
        self,
        batch: Batch,
        prompts: Sequence[int],
        start: int,
        edits_of: Callable[[RecordedSuffix], Sequence[Edit]],
        *,
        keep: Sequence[Place] = (),
        calls: bool = False,
        corrupting: Callable[[], AbstractContextManager[None]] = nullcontext,
        report: Callable[[], None] = lambda: None,
    ) -> tuple[Float[Tensor, " prompt"], Float[Tensor, "variant prompt"]]:
        """The probability without a change, and that of each variant.

        Args:
            batch: holds `prompts`, indices into `ids`.
            start: the first column in which anything may differ.
            edits_of: what is changed, in order of layers, of a recorded run.
            keep, calls: see `hooks.layer_replay.read`.
            corrupting: what is on while prompts are read, but not in the walk.
            report: called before every layer; raises where the user asked to stop.

        Raises:
            WorkbenchError: the control did not come out as the model itself.
        """
        readout = Readout(Prob(), [[target] for target in self.targets], self.ids)
        with corrupting():
            suffix = read(self.model, batch, 0 if self.whole else start, keep, calls=calls)
        found = self._walk(suffix, edits_of(suffix), readout, prompts, corrupting, report)
        if found is None:  # this family knows more of what came before than keys and values
            self.whole = True
            return self.run(
                batch, prompts, 0, edits_of, keep=keep, calls=calls, corrupting=corrupting,
                report=report,
            )  # fmt: skip
        return found

    def _walk(
        self,
        suffix: RecordedSuffix,
        edits: Sequence[Edit],
        readout: Readout,
        prompts: Sequence[int],
        corrupting: Callable[[], AbstractContextManager[None]],
        report: Callable[[], None],
    ) -> tuple[Tensor, Tensor] | None:
        unchanged = suffix.record.resid_final[:, -1:]
        before = readout.of_resid(self.model, unchanged[None], unchanged, prompts)[0, :, 0]
        after: list[Tensor] = []
        size = rows_at_once(self.model, suffix)
        # Layers that hand on more than the stream are run from the very beginning.
        during = corrupting if suffix.record.hands_on else nullcontext
        for chunk in _chunks(edits, size):
            with during():
                final = BatchedForward(
                    self.model, suffix, chunk, not after, lambda _: report()
                ).run()[:, :, -1:]
            values = readout.of_resid(self.model, final, unchanged, prompts)[..., 0]
            if not after:
                if not self._control(final[0, :, -1], suffix):
                    return None
                self.moved = max(self.moved, float((values[0] - before).abs().max()))
                values = values[1:]
            after.append(values)
        effects = torch.cat(after)
        self._largest.append((effects - before).cpu())
        return before.cpu(), effects.cpu()

    def _control(self, resid: Tensor, suffix: RecordedSuffix) -> bool:
        logits = self.model.unembed(resid)
        error, limit = logit_error(logits, suffix.logits, self.model)
        if suffix.start and not error <= limit:
            return False
        self.error = max(self.error, check_same(logits, suffix.logits, self.model))
        return True

    def note(self) -> None:
        """Keep what the controls say for whoever tells of the run."""
        effects = torch.cat([each.flatten() for each in self._largest])[:, None]
        note(self.model, of_effects(self.error, effects, torch.tensor([self.moved])))


def _chunks(edits: Sequence[Edit], size: int) -> Iterator[list[Edit]]:
    """Edits that walk together: as many as there is room for, one at least."""
    chunk: list[Edit] = []
    for edit in edits:
        if chunk and sum(each.count for each in chunk) + edit.count > size:
            yield chunk
            chunk = []
        chunk.append(edit)
    if chunk:
        yield chunk
