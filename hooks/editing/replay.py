"""Running a model again and again with a vector added at one token of each row, and nothing but
what the vector can reach: the layers above, and the tokens from that one on.

What stands before, and what lies below, is read once. The pass is recorded (`hooks.recording`), the
keys and values of earlier tokens are kept, and the module's own layers are called on the rest.
Where a family gives its layers more than the stream, keeps more than keys, or the replay does not
come to the model's own logits, whole passes are run instead: slower, the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import DynamicCache

from hooks import layer_replay
from hooks.eager_eval import steady
from hooks.layer_replay import RecordedSuffix
from hooks.module_call import call

if TYPE_CHECKING:
    from hooks.batch import Batch
    from hooks.editing.requests import EditRow
    from hooks.model import InstrumentedModel

Place = Literal["mlp", "stream"]
"""Where the vector is added: to what the down projection of the layer gives, or to the residual
stream after the layer.
"""
_ROWS = 64  # that are run at once
OutputChange = Callable[[Tensor, Tensor], Tensor]


class _BeforeCache(DynamicCache):
    """Keys and values of the tokens before; what is read behind them is given back and not kept."""

    def __init__(self, keys: dict[int, tuple[Tensor, Tensor]], columns: int) -> None:
        super().__init__()
        self._before, self._columns = keys, columns

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        keys, values = self._before[layer_idx]
        return torch.cat([keys, key_states], 2), torch.cat([values, value_states], 2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._columns


@dataclass
class Replay:
    """Rows that are read with a vector added at the subject's last token of each.

    Attributes:
        rows: which of the rows given these are, in order.
        replayed: whether only the part that the vector reaches is run.
    """

    model: InstrumentedModel
    layer: int
    place: Place
    batch: Batch
    rows: list[int]
    subject: list[int]
    read_out: list[tuple[int, int]]
    suffix: RecordedSuffix | None = None
    cache: _BeforeCache | None = None

    @property
    def replayed(self) -> bool:
        return self.suffix is not None

    def logits(
        self, vectors: Float[Tensor, "row d_model"] | None
    ) -> Float[Tensor, "read_out d_vocab"]:
        """Logits at the columns of `read_out`, with a vector added for each row; float32."""
        if vectors is None:
            return self.logits_with(None)
        at = torch.tensor(self.subject, device=vectors.device) - self.first
        rows = torch.arange(len(at), device=vectors.device)

        def add(_: Tensor, out: Tensor) -> Tensor:
            return out + torch.zeros_like(out).index_put((rows, at), vectors.to(out))

        return self.logits_with(add)

    @property
    def first(self) -> int:
        """The first column that is run."""
        return 0 if self.suffix is None else self.suffix.start

    def logits_with(self, change: OutputChange | None) -> Float[Tensor, "read_out d_vocab"]:
        """The same with any change of what the layer gives: of (input, output), both (row, pos,
        width), it makes the new output.
        """
        with steady(self.model.module), self._changed(change):
            stream_logits = self._whole() if self.suffix is None else self._rest()
        return stream_logits.float()

    def _rest(self) -> Tensor:
        assert self.suffix is not None
        record, blocks = self.suffix.record, self.model.layout.blocks
        stream = record.resid_pre[self.layer]
        for layer in range(self.layer, len(blocks)):
            stream = record.call(self.model, layer, stream, self.cache)
        rows, columns = [r for r, _ in self.read_out], [c - self.first for _, c in self.read_out]
        return self.model.unembed(stream[rows, columns])

    def _whole(self) -> Tensor:
        width = self.batch.input_ids.shape[1]
        before = min(column for _, column in self.read_out)
        # Over a large vocabulary the logits of all columns take more memory than all else.
        logits = call(
            self.model.module,
            **self.batch.kwargs(),
            use_cache=False,
            logits_to_keep=width - before,
        ).logits
        rows, columns = [r for r, _ in self.read_out], [c - before for _, c in self.read_out]
        found: Tensor = logits[rows, columns]
        return found

    @contextmanager
    def _changed(self, change: OutputChange | None) -> Iterator[None]:
        """Inside, the layer gives something else."""
        if change is None:
            yield
            return
        block = self.model.layout.blocks[self.layer]
        module = block.down_proj if self.place == "mlp" else block.module
        assert module is not None
        n = len(self.subject)

        def put(_: nn.Module, given: tuple[Any, ...], out: Any) -> Any:
            x = out[0] if isinstance(out, tuple | list) else out
            # Some families see one row of all tokens.
            before, after = (t.reshape(n, -1, t.shape[-1]) for t in (given[0], x))
            new = change(before, after).view(x.shape)
            return (new, *out[1:]) if isinstance(out, tuple | list) else new

        with ExitStack() as stack:
            stack.callback(module.register_forward_hook(put).remove)
            yield


def replays(
    model: InstrumentedModel, rows: Sequence[EditRow], layer: int, place: Place
) -> list[Replay]:
    """The rows in groups that share a batch. What is read out of each row are the positions that
    its targets are predicted at, or the subject's where it has none.
    """
    found = []
    for chosen in model.batch_indices([len(row.ids) for row in rows], _ROWS):
        batch = model.batch([rows[i].ids for i in chosen])
        width = batch.input_ids.shape[1]
        subject = [width - len(rows[i].ids) + rows[i].subject for i in chosen]
        read_out = [
            (number, column)
            for number, i in enumerate(chosen)
            for column in (
                range(width - len(rows[i].targets), width) if rows[i].targets else [subject[number]]
            )
        ]
        whole = Replay(model, layer, place, batch, chosen, subject, read_out)
        found.append(_shortened(whole, min(subject)))
    return found


@torch.no_grad()
def _shortened(whole: Replay, first: int) -> Replay:
    """The same, run only where the vector can reach, if that gives the same logits."""
    model = whole.model
    suffix = layer_replay.read(model, whole.batch, first, calls=first > 0)
    if suffix.record.hands_on or len(suffix.record.resid_pre) != model.n_layers:
        return whole
    cache = None
    if suffix.start:
        columns = suffix.shape[1]
        cache = _BeforeCache(
            {
                # Of a sliding window only its last columns are there.
                layer: (seen.key[:, :, :-columns], seen.value[:, :, :-columns])
                for layer, seen in suffix.calls.items()
            },
            suffix.start,
        )
    short = Replay(
        model,
        whole.layer,
        whole.place,
        whole.batch,
        whole.rows,
        whole.subject,
        whole.read_out,
        suffix,
        cache,
    )
    error, limit = layer_replay.logit_error(short.logits(None), whole.logits(None), model)
    return short if error <= limit else whole
