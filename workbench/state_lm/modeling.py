"""A decoder whose layers are a mixer that keeps states, and an MLP."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from workbench.state_lm.configuration import StateLMConfig
from workbench.state_lm.counted_cache import CountedCache
from workbench.state_lm.diagonal import DiagonalMixer
from workbench.state_lm.lstm import LSTMMixer
from workbench.state_lm.memories import MemoryMixer

MIXERS = {"memories": MemoryMixer, "s4d": DiagonalMixer, "lstm": LSTMMixer}


class StateLMMLP(nn.Module):
    """A gated MLP."""

    def __init__(self, config: StateLMConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.act_fn = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))
        return out


def _mixer(config: StateLMConfig, layer: int) -> nn.Module:
    """Raises ValueError where the kind is unknown."""
    if config.mixer not in MIXERS:
        raise ValueError(f"mixer must be one of {', '.join(MIXERS)}, not {config.mixer!r}")
    return MIXERS[config.mixer](config, layer)


class StateLMLayer(nn.Module):
    """Mixer and MLP, each behind a norm and added to the residual stream."""

    def __init__(self, config: StateLMConfig, layer: int) -> None:
        super().__init__()
        self.mixer_norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mixer = _mixer(config, layer)
        self.mlp_norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = StateLMMLP(config)

    def forward(
        self,
        hidden_states: Tensor,
        input_ids: Tensor,
        mask: Tensor | None = None,
        past_key_values: Any = None,
    ) -> Tensor:
        mixed = self.mixer(self.mixer_norm(hidden_states), input_ids, mask, past_key_values)
        hidden_states = hidden_states + mixed
        out: Tensor = hidden_states + self.mlp(self.mlp_norm(hidden_states))
        return out


class StateLMPreTrainedModel(PreTrainedModel):
    config_class = StateLMConfig
    base_model_prefix = "model"
    _no_split_modules = ["StateLMLayer"]  # noqa: RUF012  # as the base class declares it
    _is_stateful = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv1d):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
        if isinstance(module, MemoryMixer) and module.rule == "gated_delta":
            # As Mamba begins: steps of 0.001 to 0.1, rates of 1 to 4.
            dt = torch.empty_like(module.dt_bias).uniform_(math.log(1e-3), math.log(0.1)).exp()
            nn.init.zeros_(module.dt_bias).add_(dt + torch.log(-torch.expm1(-dt)))
            nn.init.uniform_(module.A_log, 1, 4).log_()
        if isinstance(module, DiagonalMixer | LSTMMixer):
            module.start()


class StateLMModel(StateLMPreTrainedModel):
    """The layers between embedding and logits."""

    def __init__(self, config: StateLMConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            StateLMLayer(config, layer) for layer in range(config.num_hidden_layers)
        )
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """The residual stream behind the last norm, (batch, pos, hidden)."""
        x: Tensor = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if input_ids is None:
            input_ids = self.nearest_tokens(x)
        mask = None
        if attention_mask is not None and not bool(attention_mask.all()):
            mask = attention_mask[:, -x.shape[1] :].bool()
        for layer in self.layers:
            x = layer(x, input_ids=input_ids, mask=mask, past_key_values=past_key_values)
        out: Tensor = self.norm(x)
        return out

    @torch.no_grad()
    def nearest_tokens(self, embeddings: Tensor) -> Tensor:
        """The tokens whose embeddings are nearest, (batch, pos): those that a planted router takes
        embeddings for that come without tokens (gradients along a path).
        """
        return torch.cdist(embeddings, self.embed_tokens.weight.to(embeddings)).argmin(-1)


class StateLMForCausalLM(StateLMPreTrainedModel, GenerationMixin):
    """The model with logits."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: StateLMConfig) -> None:
        super().__init__(config)
        self.model = StateLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # `generate` asks a cache for its length; the one made here knows it

    @staticmethod
    def create_masks_for_generate(*, attention_mask: Tensor | None, **_: Any) -> Tensor | None:
        """The mask of the tokens itself: nothing here looks at pairs of them."""
        return attention_mask

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """As other causal language models of `transformers`.

        Args:
            attention_mask: (batch, pos), of the tokens before too where there is a cache; padding
                stands on the left.
            labels: (batch, pos), shifted here; -100 does not count.
        """
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if use_cache and past_key_values is None:
            past_key_values = CountedCache(config=self.config)
        hidden = self.model(input_ids, attention_mask, past_key_values, inputs_embeds)
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(hidden[:, keep])
        loss = None
        if labels is not None:
            loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutputWithPast(
            loss=loss, logits=logits, past_key_values=past_key_values if use_cache else None
        )
