"""What is changed, one at a time: heads, layers, neurons, positions, edges between heads, or states
of recurrent layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from hooks.state_changes import changeable_states
from hooks.sweeps.arguments import (
    Component,
    Pairs,
    WhichPositions,
    changeable,
    check_heads,
    check_layers,
    check_name,
    check_sites,
    pairs,
)
from hooks.weights import sizes
from workbench.errors import BadInput, NotFound

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from hooks.sites import Place

Input = Literal["q", "k", "v"]
Receiver = tuple[int, int, Input]  # layer, head, which of its inputs
OverName = Literal["heads", "layers", "neurons", "positions", "edges", "states"]


@dataclass(frozen=True)
class Over:
    """A set of components. See the classes that are one."""

    name: ClassVar[str] = ""
    positions: ClassVar[WhichPositions] = "last"
    """Those that are changed if none are named."""

    def components(
        self, model: InstrumentedModel, ids: Sequence[Sequence[int]], positions: WhichPositions
    ) -> list[Component]:
        """Those of this model, in order.

        Raises:
            BadInput, SiteNotFound: one that the model does not have.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Heads(Over):
    """Each head's output z.

    Args:
        heads: (layer, head) pairs; None is all.
        layers: those whose heads are changed; None is all.

    Raises:
        BadInput: no pairs, or both given.
    """

    heads: Pairs | None = None
    layers: int | Sequence[int] | None = None
    name: ClassVar[str] = "heads"

    def __post_init__(self) -> None:
        _checked_pairs(self, "heads", "head")

    def components(
        self, model: InstrumentedModel, ids: Sequence[Sequence[int]], positions: WhichPositions
    ) -> list[Component]:
        return _heads(model, self.heads, self.layers)


@dataclass(frozen=True)
class Layers(Over):
    """Each of the sites in each layer, as a whole.

    Args:
        sites: None is resid_pre, attn_out and mlp_out (those that the model has).
        layers: None is all.

    Raises:
        BadInput: a site that a sweep does not change.
    """

    sites: str | Sequence[str] | None = None
    layers: int | Sequence[int] | None = None
    name: ClassVar[str] = "layers"
    usual: ClassVar[tuple[str, ...]] = ("resid_pre", "attn_out", "mlp_out")

    def __post_init__(self) -> None:
        object.__setattr__(self, "sites", check_sites(self.sites))
        object.__setattr__(self, "layers", check_layers(self.layers))

    def components(
        self, model: InstrumentedModel, ids: Sequence[Sequence[int]], positions: WhichPositions
    ) -> list[Component]:
        return [Component(*key) for key in self._places(model)]

    def _places(self, model: InstrumentedModel) -> list[tuple[str, int]]:
        usual = [site for site in self.usual if site in model.sites] or self.usual
        return [_key(place) for place in changeable(model, self.sites or usual, self.layers)]


@dataclass(frozen=True)
class Positions(Layers):
    """Each of the sites in each layer at each position (causal tracing, Meng et al. 2022).

    Args:
        sites: None is resid_pre.
        layers: None is all.

    Raises:
        BadInput: a site that a sweep does not change.
    """

    name: ClassVar[str] = "positions"
    positions: ClassVar[WhichPositions] = "all"
    usual: ClassVar[tuple[str, ...]] = ("resid_pre",)

    def components(
        self, model: InstrumentedModel, ids: Sequence[Sequence[int]], positions: WhichPositions
    ) -> list[Component]:
        named = [-1] if isinstance(positions, str) else positions
        columns = (
            range(max(map(len, ids)))
            if positions == "all"
            else sorted({p % len(prompt) for p in named for prompt in ids})
        )
        return [Component(*key, None, pos) for key in self._places(model) for pos in columns]


@dataclass(frozen=True)
class Neurons(Over):
    """Each MLP neuron.

    Args:
        neurons: (layer, neuron) pairs; None is all.
        layers: those whose neurons are changed; None is all.

    Raises:
        BadInput: no pairs, or both given.
    """

    neurons: Pairs | None = None
    layers: int | Sequence[int] | None = None
    name: ClassVar[str] = "neurons"

    def __post_init__(self) -> None:
        _checked_pairs(self, "neurons", "neuron")

    def components(
        self, model: InstrumentedModel, ids: Sequence[Sequence[int]], positions: WhichPositions
    ) -> list[Component]:
        of_layer: dict[int, list[int]] = {}
        for layer, neuron in self.neurons or ():
            of_layer.setdefault(layer, []).append(neuron)
        layers = sorted(of_layer) if self.neurons is not None else self.layers
        components: list[Component] = []
        for place in changeable(model, ("post",), layers):
            site, layer = _key(place)
            down = model.layout.blocks[layer].down_proj
            assert down is not None  # whoever has this site has the matrix
            width = sizes(down)[1]
            chosen = of_layer[layer] if of_layer else range(width)
            if any(not 0 <= neuron < width for neuron in chosen):
                raise BadInput(
                    f"Layer {layer} has no such neuron.",
                    f"0 to {width - 1}",
                    "Choose in that range.",
                )
            components += [Component(site, layer, neuron) for neuron in chosen]
        return components


@dataclass(frozen=True)
class Edges(Over):
    """From each head to the receivers alone (path patching, Wang et al. 2022).

    Args:
        receivers: "logits", or the (layer, head) pairs whose `inputs` receive.
        inputs: of "q", "k", "v", each alone.
        freeze: what keeps its unchanged value on the way from a sender: "heads" (MLPs and norms
            react) or "heads and mlps". With the latter the logits receive through the final norm
            and the unembedding only.
        senders: (layer, head) pairs; None is all heads.
        layers: those whose heads send; None is all.

    Raises:
        NotFound, BadInput: something else.
    """

    receivers: Literal["logits"] | Pairs = "logits"
    inputs: Sequence[Input] = ("q", "k", "v")
    freeze: Literal["heads", "heads and mlps"] = "heads"
    senders: Pairs | None = None
    layers: int | Sequence[int] | None = None
    name: ClassVar[str] = "edges"

    def __post_init__(self) -> None:
        _checked_pairs(self, "senders", "head")
        if isinstance(self.receivers, str):
            check_name("receiver", self.receivers, ["logits"])
        else:
            object.__setattr__(self, "receivers", tuple(pairs(self.receivers, "head")))
        inputs = (self.inputs,) if isinstance(self.inputs, str) else tuple(self.inputs)
        if not self.receivers or not inputs:
            raise BadInput(
                f"Edges need a receiver: receivers={self.receivers!r}, inputs={inputs!r}.",
                "receivers='logits', or heads and some of their inputs",
                "For example Edges([(1, 0)], inputs=['q']).",
            )
        for name in inputs:
            check_name("input of a head", name, get_args(Input))
        object.__setattr__(self, "inputs", inputs)
        check_name("freeze", self.freeze, ["heads", "heads and mlps"])

    def components(
        self, model: InstrumentedModel, ids: Sequence[Sequence[int]], positions: WhichPositions
    ) -> list[Component]:
        return _heads(model, self.senders, self.layers)

    def receiving(self, model: InstrumentedModel) -> list[Receiver]:
        """Each input of each receiver; none where the logits receive.

        Raises:
            BadInput: a head that the model does not have, or whose attention is out of reach.
        """
        if isinstance(self.receivers, str):
            return []
        heads = check_heads(model, self.receivers)
        hidden = [
            layer
            for layer, _ in heads
            if model.layout.blocks[layer].attention_call is None or model.layout.blocks[layer].gated
        ]
        if hidden:
            raise BadInput(
                f"Attention of layer {hidden[0]} of {model.card.name} cannot be made again from its"
                " queries, keys and values.",
                "receivers in layers whose z is what attention gives, or receivers='logits'",
                "Choose other receivers.",
            )
        return [(layer, head, name) for layer, head in heads for name in self.inputs]


@dataclass(frozen=True)
class States(Over):
    """The state of each recurrent layer after each of the positions.

    Args:
        by: "head" changes each state head alone; "layer" the whole state and the inputs of the
            layer's short convolution.
        layers: None is all recurrent ones.

    Raises:
        NotFound: another division.
    """

    by: Literal["head", "layer"] = "head"
    layers: int | Sequence[int] | None = None
    name: ClassVar[str] = "states"
    positions: ClassVar[WhichPositions] = "all"

    def __post_init__(self) -> None:
        check_name("division of states", self.by, ["head", "layer"])
        object.__setattr__(self, "layers", check_layers(self.layers))

    def components(
        self, model: InstrumentedModel, ids: Sequence[Sequence[int]], positions: WhichPositions
    ) -> list[Component]:
        layers = changeable_states(model, self.layers)
        named = [-1] if isinstance(positions, str) else positions
        columns = (
            range(max(map(len, ids)))
            if positions == "all"
            else sorted({p % len(prompt) for p in named for prompt in ids})
        )
        return [
            Component("state", layer, head, position)
            for layer in layers
            for head in self._heads(model, layer)
            for position in columns
        ]

    def _heads(self, model: InstrumentedModel, layer: int) -> Sequence[int | None]:
        if self.by == "layer":
            return [None]
        return range(model.layout.blocks[layer].states["state"][0])


OVERS: dict[str, type[Over]] = {
    each.name: each for each in (Heads, Layers, Neurons, Positions, Edges, States)
}


def as_over(given: Over | OverName) -> Over:
    """Components, also by their short name. Raises NotFound for an unknown one."""
    if isinstance(given, Over):
        return given
    if not isinstance(given, str) or given not in OVERS:
        raise NotFound.named("kind of component", str(given), OVERS, "Or give wb.Heads(…), ….")
    return OVERS[given]()


def _checked_pairs(over: Heads | Neurons | Edges, name: str, what: str) -> None:
    """Puts the field `name` and `layers` into one form; only one of them may be given."""
    given, layers = getattr(over, name), check_layers(over.layers)
    if given is not None and layers is not None:
        raise BadInput(
            f"Both {name} and layers are given.", f"{name}=… or layers=…", "Leave one out."
        )
    object.__setattr__(over, name, None if given is None else tuple(pairs(given, what)))
    object.__setattr__(over, "layers", layers)


def _heads(
    model: InstrumentedModel, heads: Pairs | None, layers: int | Sequence[int] | None
) -> list[Component]:
    if heads is not None:
        return [Component("z", layer, head) for layer, head in check_heads(model, heads)]
    return [
        Component(site, layer, head)
        for site, layer in map(_key, changeable(model, ("z",), layers))
        for head in range(model.layout.blocks[layer].n_heads)
    ]


def _key(place: Place) -> tuple[str, int]:
    assert place.layer is not None  # every site that can be changed is of a layer
    return place.site.short, place.layer
