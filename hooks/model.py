"""The model as the workbench sees it: a `transformers` causal LM and its tokenizer, with the hook
layer on.

The weights and the forward pass stay those of `transformers`; nothing is wrapped, copied or
re-implemented.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hooks import batch as batches
from hooks import beginning_token, context_window, generation, out_of_memory, rounding, sites
from hooks.batch import Batch
from hooks.beginning_token import Beginning
from hooks.discovery.find_layout import find_layout
from hooks.eager_eval import steady
from hooks.finite_check import check_logits
from hooks.layout import Layout
from hooks.module_call import call
from hooks.prompts import Prompt, Prompts, ids_of
from hooks.speed import speed as measured_speed
from hooks.weights import apply, device_of, sizes
from hooks.without_interventions import undisturbed
from workbench.errors import SiteNotFound, Unfit
from workbench.models import DEFAULT, Loaded, ModelCard, Tokenization, adapters, load_weights
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hooks.rounding import RoundingControl
    from workbench.cost import Speed
    from workbench.progress import Progress


@ordinary
def load(
    ref: str | Path | tuple[Any, Any] = DEFAULT,
    device: str = "auto",
    dtype: str | torch.dtype | None = None,
    progress: Progress | None = None,
    *,
    max_memory: str | Mapping[Any, Any] | None = None,
    offload: str | Path | None = None,
    bits: int | None = None,
) -> InstrumentedModel:
    """Load a model and instrument it.

    Args:
        ref: a known name (`workbench models` lists them), a Hugging Face id, a local folder, a
            `.gguf` file, or a pair (causal LM of `transformers`, its tokenizer) that is already
            built.
        device: "auto" (the GPU if there is one), "cpu", "cuda", "cuda:1", or "balanced" over
            several.
        dtype: None keeps float32 on a CPU and the checkpoint's own on a GPU.
        progress: reports a download.
        max_memory: "cuda:0=10GB,cpu=30GB": spread over these places, with at most so much in each.
        offload: a folder for the weights that find no room.
        bits: 8 or 4 rounds the weights as they are read.

    Raises:
        NotFound, BadInput, DownloadFailed: each says what to do.
    """
    return InstrumentedModel(load_weights(ref, device, dtype, progress, max_memory, offload, bits))


class InstrumentedModel:
    """A causal LM with its tokenizer, its card and named places (`sites`).

    Attributes:
        module: the `transformers` model itself, in eval mode.
        tokenizer: its tokenizer.
        card: what it is, for people and for provenance.
        lock: hold it while running the model from a thread that shares it with others.
        longest: tokens that were read at once so far, at most.
        controls: of the sweeps so far, see `hooks.rounding`.
        shrunk: how often memory ran out and a smaller batch was taken.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.module: PreTrainedModel = loaded.module
        self.tokenizer: PreTrainedTokenizerBase = loaded.tokenizer
        self.card: ModelCard = loaded.card
        self.lock = threading.RLock()
        self._attached = adapters.names(loaded.module)
        self.longest = 0
        self.controls: list[RoundingControl] = []
        self.shrunk = 0

    @cached_property
    def layout(self) -> Layout:
        """Where the parts are, found by a forward pass of five tokens when first needed."""
        found = find_layout(self.module)
        # The card is made from the configuration, which does not know of layers cut off by hand.
        self.card = replace(self.card, n_layers=len(found.blocks))
        return found

    def check_layers(self) -> None:
        """Refuse a model whose layers are no longer those that were found, nor what its card says.

        Raises:
            Unfit: adapters were attached or taken off since it was loaded.
        """
        if adapters.names(self.module) != self._attached:
            raise Unfit(
                f"Adapters of {self.card.name} were attached or taken off after it was loaded.",
                "a model whose layers stay what they were",
                "Load it again: wb.load((model.module, model.tokenizer)).",
            )

    @property
    def n_layers(self) -> int:
        return self.layout.n_layers

    @property
    def n_heads(self) -> int:
        return self.layout.n_heads

    @property
    def n_kv_heads(self) -> int:
        return self.layout.n_kv_heads

    @property
    def d_head(self) -> int:
        return self.layout.d_head

    @property
    def device(self) -> torch.device:
        return device_of(self.layout.embed)

    @cached_property
    def sites(self) -> sites.Sites:
        """Short site name -> the layers that have it (None where it does not repeat).

        `sites()` is a table with shapes.
        """
        return sites.Sites(self.layout)

    def heads(self) -> list[tuple[int, int]]:
        """Every attention head as (layer, head)."""
        return self.layout.heads()

    # -- text and tokens ---------------------------------------------------------------------------

    @cached_property
    def text(self) -> Tokenization:
        """How texts become this model's tokens and back."""
        return Tokenization(self.tokenizer, sizes(self.module.get_input_embeddings())[0])

    @cached_property
    def beginning(self) -> Beginning:
        """What stands before every window of text, and the loss on neutral text with and without
        it.
        """
        with undisturbed(self.module):
            return beginning_token.measure(self.module, self.text, self.device)

    def tokens(self, text: str) -> list[int]:
        """Token ids of a prompt, with what the tokenizer itself puts in front (see `card.bos`),
        and nothing behind.
        """
        return self.text.prompt(text)

    def continuation_tokens(self, text: str) -> list[int]:
        """Token ids of text that stands behind a prompt: nothing is put in front, no space
        either.
        """
        return self.text.continuation(text)

    def token_strings(self, ids: Sequence[int]) -> list[str]:
        """Each token as plain text as it stands inside a text (spaces and line breaks as they
        are, no tokenizer glyphs).
        """
        return self.text.pieces(ids)

    def prompt_strings(self, ids: Sequence[int]) -> list[str]:
        """As `token_strings`, of a prompt from its beginning: joined they give its text,
        beginning token and all.
        """
        return self.text.pieces_of_texts([ids])[0]

    # -- batches -----------------------------------------------------------------------------------

    @cached_property
    def ignores_padding(self) -> bool:
        """Whether padding on the left changes nothing in the model's logits.

        Some recurrent families read it like text.
        """
        return batches.ignores_padding(self)

    def can_batch(self, length: int, other: int) -> bool:
        """Whether prompts of these lengths (tokens) can share a batch."""
        return length == other or self.ignores_padding

    def batch_indices(self, lengths: Sequence[int], size: int) -> list[list[int]]:
        """Which prompts share a batch: up to `size` in the order given; only those of one length
        where padding is read.

        Args:
            lengths: tokens per prompt.
        """
        one_length = len(set(lengths)) > 1 and not self.ignores_padding
        return batches.batch_indices(lengths, size, one_length=one_length)

    def batch(self, prompts: Prompts) -> Batch:
        """Tokenize and pad on the left.

        Raises:
            BadInput: no prompt, an empty one, or one longer than its table of positions.
        """
        self.check_layers()
        return batches.padded(self, prompts)

    # -- running -----------------------------------------------------------------------------------

    @cached_property
    def positions(self) -> int | None:
        """How many tokens the model's table of positions has room for.

        None if any number can be run.
        """
        return context_window.rows_of_table(self.module, self.card.context_length)

    @cached_property
    def speed(self) -> Speed:
        """Seconds that a token, a pass and a gradient take here; measured when first asked."""
        return measured_speed(self)

    def past_window(self, read: int) -> str | None:
        """The sentence about reading so many tokens at once.

        None if they are within the model's window.
        """
        return context_window.says(self, read)

    def rounding(self) -> str | None:
        """The sentence about how far the sweeps so far are to be believed.

        None if there were none.
        """
        return rounding.says(self.controls)

    def smaller_batches(self) -> str | None:
        """The sentence about batches that were made smaller; None where memory sufficed."""
        return out_of_memory.says(self)

    def forward(self, **kwargs: Any) -> Any:
        """One forward pass of the module: the way to run it.

        What it says is checked before anybody looks at it.

        Args:
            kwargs: as the module takes them.

        Raises:
            BadInput: more tokens than the model has positions for.
            NotFinite: the logits are no finite numbers.
        """
        given = kwargs.get("input_ids", kwargs.get("inputs_embeds"))
        if given is not None and kwargs.get("past_key_values") is None:
            context_window.check(self, given.shape[1])
        out = call(self.module, **kwargs)
        check_logits(self, out.logits, kwargs)
        return out

    @ordinary
    @torch.no_grad()
    def next_logits(
        self, prompts: Prompts, batch_size: int = 32
    ) -> Float[Tensor, "prompt d_vocab"]:
        """Logits of the token after each prompt, (prompt, d_vocab), float32.

        Honours active interventions.
        """
        ids = ids_of(self, prompts)
        rows: dict[int, Tensor] = {}

        def read(indices: list[int]) -> None:
            batch = self.batch([ids[i] for i in indices])
            with steady(self.module):
                logits = (
                    self.forward(**batch.kwargs(), logits_to_keep=1, use_cache=False)
                    .logits[:, -1]
                    .float()
                )
            rows.update(zip(indices, logits, strict=True))

        for indices in self.batch_indices([len(row) for row in ids], batch_size):
            out_of_memory.in_parts(self, indices, read)
        return torch.stack([rows[i] for i in range(len(ids))])

    def next_tokens(self, prompt: Prompt, k: int = 10) -> pd.DataFrame:
        """The k likeliest next tokens: columns token, id, probability, rank (1 = likeliest)."""
        import pandas as pd

        top = torch.softmax(self.next_logits(prompt)[0], -1).topk(min(k, self.card.d_vocab))
        ids = top.indices.tolist()
        return pd.DataFrame(
            {
                "token": self.token_strings(ids),
                "id": ids,
                "probability": top.values.tolist(),
                "rank": range(1, len(ids) + 1),
            }
        )

    @ordinary
    def generate(
        self,
        prompt: Prompt,
        max_new_tokens: int = 40,
        temperature: float = 0.0,
        seed: int = 0,
        on_token: Callable[[str], None] | None = None,
    ) -> str:
        """Continue a prompt; only the continuation is returned. Greedy unless `temperature` > 0.

        What is said is what the logits say: of the model's generation config only end and padding
        tokens count, and with a temperature every token is drawn from the whole softmax.
        Interventions that are active hold at every generated token. `on_token` gets each new piece
        of text; together the pieces are what is returned.

        Raises:
            BadInput: fewer than no tokens, or more than the model has positions for.
            NotFinite: the logits are no finite numbers.
        """
        return generation.generate(self, prompt, max_new_tokens, temperature, seed, on_token)

    def unembed(
        self, resid: Float[Tensor, "*rows d_model"], ids: Int[Tensor, " target"] | None = None
    ) -> Float[Tensor, "*rows _"]:
        """Final norm and unembedding of residual-stream vectors: (..., d_model) to logits (...,
        d_vocab).

        With `ids` only those tokens' logits are computed, (..., len(ids)). Includes the logit
        scalings and soft-caps of the families that have them.
        """
        self.check_layers()
        layout, head = self.layout, self.layout.unembed
        if layout.head_gain != layout.head_gain or layout.logit_scale != layout.logit_scale:
            raise SiteNotFound(
                f"{self.card.name} does more between its last layer and its logits than a norm and"
                " a matrix.",
                "a model whose logits are the unembedding of its normalised residual stream",
                "Use the site logits of a whole forward pass.",
            )
        normed = layout.final_norm(resid)
        normed = normed if layout.head_gain == 1.0 else normed * layout.head_gain
        if ids is None:
            return layout.to_logits(head(normed))
        return layout.to_logits(apply(head, normed, ids))

    def __repr__(self) -> str:
        c = self.card
        return (
            f"InstrumentedModel({c.name}: {c.n_layers} layers × {c.n_heads} heads,"
            f" {c.n_params / 1e6:.0f} M parameters)"
        )
