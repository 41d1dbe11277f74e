"""An autoencoder at its place in a model: a feature is a direction there, and a number at every
token.

    features = wb.open_features("smollm2-135m/resid_post-15", model)
    trace = wb.capture(model, texts, sites="resid_post", layers=15, reduce=features.active(32))
    with features.steer({412: 8.0}, positions=[-1]):
        model.generate("The capital of France is")

Changes nest with those of `hooks.interventions`, hold during `generate`, and leave what no feature
says, the error term, as it is. `positions` None is every token, generated ones included; they count
as in `wb.ablate`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.interventions import apply_changes
from hooks.reduce import BatchLayout, Output
from workbench.errors import BadInput, NotFound
from workbench.reentrant import reentrant

if TYPE_CHECKING:
    from sae_lens import SAE as SaeLensSAE

    from hooks.model import InstrumentedModel
    from hooks.positions import PositionTracker
    from hooks.sites import Place, Site

SKIP = 4
"""Tokens at the beginning of a text that are left out of what is counted: the first draws a huge
vector whatever it is.
"""


@dataclass(frozen=True, eq=False)
class SAE:
    """A sparse autoencoder of SAELens, and the place whose vectors it takes apart.

    Attributes:
        model: the model it was checked against.
        place: the site and layer.
        sae: SAELens's own object. Vectors from another device go to it, and what is changed goes
            back.
        name: how it was asked for.
        card: what is known and was measured of it (`hooks.features.quality`).
    """

    model: InstrumentedModel
    place: Place
    sae: SaeLensSAE
    name: str
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """How many features there are."""
        return int(self.sae.cfg.d_sae)

    def check(self, features: Sequence[int]) -> list[int]:
        """Raises NotFound if a feature is not one of the autoencoder's."""
        for feature in features:
            if not 0 <= feature < self.width:
                raise NotFound(
                    f"{self.name} has no feature {feature}.",
                    f"0 to {self.width - 1}",
                    "Choose a feature in that range.",
                )
        return [int(f) for f in features]

    @cached_property
    def digest(self) -> str:
        """A fingerprint of the weights."""
        found = hashlib.sha256()
        for name, tensor in sorted(self.sae.state_dict().items()):
            found.update(name.encode())
            found.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:16]

    @torch.no_grad()
    def encode(self, x: Tensor) -> Float[Tensor, "*tokens feature"]:
        """Activations of the features, (…, feature), of vectors at the place, (…, *site's axes
        of one token).
        """
        found: Tensor = self.sae.encode(self.flat(x).to(self.sae.W_dec))
        return found

    @torch.no_grad()
    def encode_decode(
        self, x: Tensor
    ) -> tuple[Float[Tensor, "*tokens feature"], Float[Tensor, "*tokens d_in"]]:
        """(activations (…, feature), reconstruction (…, d)) of vectors; x less the
        reconstruction is the error term.
        """
        found = self.encode(x)
        return found, self.sae.decode(found)

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        """What the features together say of the vectors, in the shape that these have."""
        return self.encode_decode(x)[1].reshape(x.shape).to(x)

    def flat(self, x: Tensor) -> Tensor:
        """The vectors as the autoencoder reads them: heads side by side."""
        return x.flatten(-2) if self._by_head else x

    @cached_property
    def directions(self) -> Float[Tensor, "feature d_in"]:
        """What one unit of each feature adds at the place, (feature, d), as the decoder has it
        stored, float32.
        """
        stored: Tensor = self.sae.W_dec.detach().float()
        by_norm = getattr(self.sae.cfg, "rescale_acts_by_decoder_norm", False)
        return stored / stored.norm(dim=-1, keepdim=True) if by_norm else stored

    def input_norm(self, x: Tensor) -> Tensor | float:
        """What a unit of a feature is multiplied by for these vectors, where the autoencoder
        normalises each, (…, 1).
        """
        flat = self.flat(x).to(self.directions)
        match self.sae.cfg.normalize_activations:
            case "layer_norm":
                spread: Tensor = (flat - flat.mean(-1, keepdim=True)).std(-1, keepdim=True)
                return spread
            case "constant_norm_rescale":
                size: Tensor = flat.norm(dim=-1, keepdim=True) / flat.shape[-1] ** 0.5
                return size
        return 1.0

    # -- changing them -----------------------------------------------------------------------------

    @reentrant
    def ablate(
        self, which: Sequence[int], *, positions: Sequence[int] | None = None
    ) -> Iterator[None]:
        """Take features out: where one is active, it no longer is.

        Raises:
            NotFound: a feature that the autoencoder does not have.
        """
        with self.scale(which, factor=0.0, positions=positions):
            yield

    @reentrant
    def scale(
        self, which: Sequence[int], *, factor: float, positions: Sequence[int] | None = None
    ) -> Iterator[None]:
        """Multiply features where they are active: 0 takes them out, 1 leaves them.

        Raises:
            NotFound: see `ablate`.
        """
        with self._set(which, lambda old: old * factor, positions):
            yield

    @reentrant
    def steer(
        self, to: Mapping[int, float], *, positions: Sequence[int] | None = None
    ) -> Iterator[None]:
        """Set features to these activations, whether they are active or not: h + (a − f(h)) d, with
        the decoder row d.

        Raises:
            NotFound: see `ablate`.
        """
        goal = list(to.values())
        with self._set(list(to), lambda old: old.new_tensor(goal).expand_as(old), positions):
            yield

    @reentrant
    def splice(self, *, positions: Sequence[int] | None = None) -> Iterator[None]:
        """Put what the features say in the place of the vectors; the error term is lost."""
        with apply_changes(
            self.model, [(self.place, [])], [lambda x, _: self.reconstruct(x)], positions
        ):
            yield

    @reentrant
    def _set(
        self, which: Sequence[int], new: Callable[[Tensor], Tensor], positions: Sequence[int] | None
    ) -> Iterator[None]:
        chosen = self.check(which)

        def change(x: Tensor, _: PositionTracker) -> Tensor:
            old = self.encode(x)[..., chosen]
            by = ((new(old) - old).float() @ self.directions[chosen]) * self.input_norm(x)
            return x + by.reshape(x.shape).to(x)

        with apply_changes(self.model, [(self.place, [])], [change], positions):
            yield

    # -- looking at them ---------------------------------------------------------------------------

    def active(self, k: int, threshold: float = 0.0) -> Active:
        """A reducer for `wb.capture`: the k strongest features at every token."""
        return Active(self, k, threshold)

    @property
    def _by_head(self) -> bool:
        return len(self.place.site.dims) > 2

    def __repr__(self) -> str:
        return (
            f"Features({self.name}: {self.width:,} at {self.place.name} of {self.model.card.name})"
        )


@dataclass(frozen=True, eq=False)
class Active:
    """The strongest features of every token, so that of thousands only those that are active are
    kept.

        trace = wb.capture(model, prompts, sites="resid_post", layers=15,
        reduce=features.active(64))
        trace["resid_post"]           # (prompt, layer, pos, rank): activations, strongest first,
                                      NaN beyond the last
        trace["resid_post.index"]     # which features, -1 beyond the last
        trace["resid_post.count"]     # how many are active in all (the token's L0): more than k,
                                      and some are missing
        trace["resid_post.error"]     # length of what no feature says, the error term

    Attributes:
        features: the autoencoder.
        k: most features of a token.
        threshold: a feature counts as active above it.
    """

    features: SAE
    k: int
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.features.width:
            raise BadInput(
                f"The {self.k} strongest features cannot be kept.",
                f"1 to {self.features.width}",
                "Change k.",
            )
        if self.threshold < 0:
            raise BadInput(f"The threshold {self.threshold} is negative.", "0 or more", "Raise it.")

    @property
    def spec(self) -> str:
        return f"features:{self.features.digest}:{self.k}:{self.threshold:g}"

    def reason_incompatible(self, site: Site) -> str | None:
        return (
            None
            if site is self.features.place.site
            else f"the features are of {self.features.place.site.short!r}"
        )

    def outputs(self, site: Site, sizes: Mapping[str, int]) -> list[Output]:
        dims, ranks = ("pos", "rank"), {"rank": self.k}
        return [
            Output(
                "",
                dims,
                ranks,
                unit="activation",
                says=f"the {self.k} strongest features of {self.features.name}",
            ),
            Output("index", dims, ranks, whole=True, unit="index", says="which features"),
            Output("count", ("pos",), whole=True, unit="features", says="how many are active"),
            Output("error", ("pos",), unit="activation", says="length of the error term"),
        ]

    def __call__(self, site: Site, x: Tensor, rows: BatchLayout) -> list[Tensor]:
        found, decoded = self.features.encode_decode(x)
        values, index = found.topk(self.k, dim=-1)
        silent = values <= self.threshold
        return [
            values.float().masked_fill(silent, torch.nan),
            index.masked_fill(silent, -1),
            (found > self.threshold).sum(-1),
            (self.features.flat(x).to(decoded) - decoded).float().norm(dim=-1),
        ]
