"""Which capabilities are mapped, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from analyses.measures.capability_sets import CAPABILITIES, named
from analyses.modules.ffn_map.constants import parse_neuron
from analyses.modules.ffn_map.parts import DEFAULT, Name
from workbench.errors import BadInput
from workbench.form_fields import parts_field
from workbench.text_files import TextPath

_MOST = 100_000


class Params(BaseModel, frozen=True, extra="forbid"):
    capabilities: str = Field(
        ", ".join(CAPABILITIES),
        description="Capabilities that come with the workbench, with commas between them; empty:"
        " those of your file alone",
        max_length=400,
        json_schema_extra={"essential": True, "in_title": {"": "own capabilities only"}},
    )
    path: TextPath | None = Field(
        None,
        title="Your own capabilities",
        description="JSON lines with capability, prompt and answer; a file or its address (s3://…)",
        json_schema_extra={"essential": True, "in_title": "with {}"},
    )
    parts: list[Name] = parts_field(DEFAULT)
    neurons: str = Field(
        "200",
        description="How many neurons of a capability are ablated; several numbers with commas"
        " between them",
        max_length=100,
        json_schema_extra={"essential": True, "in_title": "{} neurons"},
    )
    picked: str = Field(
        "",
        description="Neurons that get a card, such as L12N517, with commas between them",
        max_length=2000,
    )
    prompts: int = Field(
        100, ge=8, le=2000, description="Prompts of each capability that choose its neurons"
    )
    held_out: int = Field(
        20, ge=4, le=1000, description="Further prompts of each, on which everything is measured"
    )
    tokens: int = Field(48, ge=12, le=512, description="Tokens of a prompt with its answer")
    score: Literal["mean", "largest"] = Field(
        "mean", description="What of a neuron's activations in a prompt counts"
    )
    controls: int = Field(1, ge=1, le=20, description="Draws of matched neurons")
    permutations: int = Field(200, ge=20, le=5000, description="Deals of labels for the null")
    masked: str = Field(
        "50, 70, 90",
        description="Part `sparsity`: percent of the activations that are masked",
        max_length=100,
    )
    layers: str = Field(
        "",
        description="Part `partitions`: layers, with commas between them. Empty: an early, a middle"
        " and a late one",
        max_length=400,
    )
    cards: int = Field(
        30, ge=1, le=500, description="Part `key-value`: best neurons of each capability"
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Of the prompts, the controls and the permutations"
    )

    @model_validator(mode="after")
    def _can_be_asked(self) -> Params:
        """Unknown names and numbers that are none are said before a model is loaded."""
        names = named(self.capabilities)
        if self.path is None and len(names) < 2:
            raise BadInput(
                f"There is {'one capability' if names else 'no capability'}: all prompts are of"
                " one class.",
                "two capabilities or more, each against the others",
                "Name another one, or give a file.",
            )
        sizes(self)
        shares(self)
        picked_layers(self)
        picked_neurons(self)
        return self


def sizes(params: Params) -> list[int]:
    """How many neurons are ablated at once."""
    return _whole(params.neurons, 1, _MOST, "a number of neurons") or [200]


def shares(params: Params) -> list[float]:
    """Shares of the activations that are masked, from 0 to below 1."""
    return [n / 100 for n in _whole(params.masked, 1, 99, "a percentage")]


def picked_layers(params: Params) -> list[int]:
    """Layers whose neurons are grouped; none where the workbench chooses."""
    return _whole(params.layers, 0, _MOST, "a layer")


def picked_neurons(params: Params) -> list[tuple[int, int]]:
    """Neurons that were named, as (layer, number).

    Raises:
        BadInput: a word that names none.
    """
    found = []
    for word in filter(None, map(str.strip, params.picked.split(","))):
        at = parse_neuron(word)
        if at is None:
            raise BadInput(f"{word!r} is no neuron.", "layer and number, e.g. L12N517", "Mend it.")
        found.append(at)
    return found


def _whole(text: str, least: int, most: int, what: str) -> list[int]:
    found = []
    for word in filter(None, map(str.strip, text.split(","))):
        if not word.isascii() or not word.isdigit() or not least <= int(word[:9]) <= most:
            raise BadInput(f"{word!r} is not {what}.", f"{least} to {most}", "Correct it.")
        found.append(int(word))
    return list(dict.fromkeys(found))
