"""A document read once, its states kept in a file, and asked about later.

    states = wb.read_states(model, document)
    states.save("document.states")                        # safetensors, with a header in JSON
    …
    states = wb.open_states(model, "document.states")
    states.generate(" Who sealed the letter?")            # as if the document stood before it

What is kept is all that the model remembers of the text: states, the inputs of short convolutions,
and in hybrids the keys and values of attention. A question is read token by token, behind a copy:
one file answers as many as one likes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks import generation
from hooks.eager_eval import steady
from hooks.finite_check import check_logits
from hooks.prompts import Prompt, ids_of
from hooks.recurrent.cache_tensors import contents, mapped
from hooks.states import Memory, RecurrentStepper, mixers_of, stepping
from workbench.errors import BadInput, NotFinite, Unfit
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

FORMAT = 1
_MODULES = "modules:"
"""Before the names of tensors that the family keeps on its modules instead of in a cache."""


@dataclass(frozen=True)
class SavedStates:
    """What a model remembers of a text.

    Attributes:
        model: which read it.
        memory: states, inputs of convolutions, keys and values.
        tokens: the text, as token ids.
    """

    model: InstrumentedModel
    memory: Memory
    tokens: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for x in _tensors(self.memory).values())

    @ordinary
    @torch.no_grad()
    def next_logits(self, question: str | Sequence[int]) -> Float[Tensor, " d_vocab"]:
        """Logits after the text and, behind it, the question, (d_vocab,), float32.

        Honours active interventions.

        Raises:
            BadInput: an empty question.
        """
        with self._reading(question) as (_, logits):
            return logits.float()

    @ordinary
    @torch.no_grad()
    def generate(self, question: str | Sequence[int], max_new_tokens: int = 40) -> str:
        """Greedy continuation of the text with the question behind it; gives what is new.

        Raises:
            BadInput: an empty question.
        """
        ends, new = generation.end_tokens(self.model), list[int]()
        with self._reading(question) as (stepper, logits):
            while len(new) < max_new_tokens:
                token = int(logits.argmax())
                if token in ends:
                    break
                new.append(token)
                if len(new) < max_new_tokens:
                    logits = stepper.feed(token)
        return generation.decoded(self.model, new)

    def _reading(self, question: str | Sequence[int]) -> _Reading:
        model = self.model
        ids = model.continuation_tokens(question) if isinstance(question, str) else list(question)
        if not ids:
            raise BadInput("The question has no token.", "some text", "Ask something.")
        return _Reading(self, ids)

    def save(self, path: str | Path) -> Path:
        """Write it to a file, whole or not at all.

        Raises:
            OSError: the file cannot be written.
        """
        from safetensors.torch import save_file

        path, card = Path(path), self.model.card
        header = {
            "format": FORMAT,
            "model": card.name,
            "architecture": card.architecture,
            "weight_hash": card.weight_hash,
            "dtype": card.dtype,
            "n_layers": self.model.n_layers,
            "tokens": self.tokens,
            "numbers": contents(self.memory.cache)[1],
        }
        tensors = {name: x.cpu().contiguous() for name, x in _tensors(self.memory).items()}
        part = path.with_name(f"{path.name}.part")
        save_file(tensors, part, metadata={"states": json.dumps(header)})
        part.replace(path)
        return path


class _Reading:
    """A question that is read behind saved states: a stepper, and the logits after it."""

    def __init__(self, states: SavedStates, ids: Sequence[int]) -> None:
        self._states, self._ids = states, ids
        model = states.model
        length = len(states.tokens) + len(ids)
        self._stepping = stepping(model.module, mixers_of(model), length)

    def __enter__(self) -> tuple[RecurrentStepper, Tensor]:
        stepper = self._stepping.__enter__()
        stepper.set_memory(self._states.memory)
        logits = torch.empty(0)
        for token in self._ids:
            logits = stepper.feed(token)
        check_logits(self._states.model, logits[None, None])
        return stepper, logits

    def __exit__(self, *error: Any) -> None:
        self._stepping.__exit__(*error)


@ordinary
@torch.no_grad()
def read_states(model: InstrumentedModel, text: Prompt) -> SavedStates:
    """Read a text, in one pass, and keep what the model remembers of it.

    Raises:
        Unfit: a model that keeps no states.
        BadInput: several texts: each has a memory of its own.
        NotFinite: the model's states or logits are no finite numbers.
    """
    _check_has_states(model)
    rows = ids_of(model, text)
    if len(rows) != 1:
        raise BadInput(
            f"States are of one text, and {len(rows)} were given: padding would mix with them.",
            "a text, or token ids",
            "Read them one by one.",
        )
    with steady(model.module), stepping(model.module, mixers_of(model), len(rows[0])) as stepper:
        logits = stepper.prefill(rows[0])
        memory = stepper.memory()
    check_logits(model, logits[None, None])
    _check_finite(_tensors(memory), model.card.name)
    return SavedStates(model, memory, tuple(rows[0]))


@ordinary
@torch.no_grad()
def open_states(model: InstrumentedModel, path: str | Path) -> SavedStates:
    """Open what `SavedStates.save` has written, for the model that read the text.

    Raises:
        Unfit: a model that keeps no states.
        BadInput: no such file, one that is damaged or holds something else, or states of another
            model, dtype or number of layers.
        NotFinite: states that are no finite numbers.
    """
    _check_has_states(model)
    path = Path(path)
    tensors, header = _read(path)
    _check_fits(model, path, header)
    _check_finite(tensors, path.name)
    with steady(model.module), stepping(model.module, mixers_of(model)) as stepper:
        stepper.feed(header["tokens"][0])  # a memory of the family's kind, to be filled
        empty = stepper.memory()
    names = set(_tensors(empty))
    if set(tensors) != names or set(header["numbers"]) != set(contents(empty.cache)[1]):
        odd = sorted(set(tensors) ^ names)
        raise BadInput(
            f"{path} does not hold what {model.card.name} remembers"
            f"{f': {odd[0]!r} is there or missing' if odd else ''}.",
            f"{len(names)} tensors of states, keys and values",
            "Read the document again; another version of transformers may have written it.",
        )
    device = {name: x.device for name, x in _tensors(empty).items()}
    placed = {name: x.to(device[name]) for name, x in tensors.items()}
    cache = mapped(
        empty.cache, lambda name, _: placed[name], lambda name, _: int(header["numbers"][name])
    )
    on_modules = {name: placed[_MODULES + name] for name in empty.on_modules}
    ids = tuple(header["tokens"])
    return SavedStates(model, Memory(len(ids), cache, on_modules), ids)


def _tensors(memory: Memory) -> dict[str, Tensor]:
    """All tensors of a memory, by name."""
    on_modules = {_MODULES + name: x for name, x in memory.on_modules.items()}
    return contents(memory.cache)[0] | on_modules


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header of a file. Raises BadInput for one that is none, or damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise BadInput(f"There is no file {path}.", "saved states", "Check the path.")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("states", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise BadInput(
            f"{path} cannot be read: {error}.",
            "a whole file of saved states",
            "It may have been cut off. Copy it again, or read the document again.",
        ) from error
    wanted = {"format", "model", "weight_hash", "dtype", "n_layers", "tokens", "numbers"}
    if not isinstance(header, dict) or not wanted <= set(header) or not header["tokens"]:
        raise BadInput(
            f"{path} holds no saved states.",
            "a file that SavedStates.save has written",
            "Check the path.",
        )
    if header["format"] != FORMAT:
        raise BadInput(
            f"{path} has the format {header['format']!r}.",
            f"format {FORMAT}",
            "Open it with the version of the workbench that wrote it.",
        )
    return tensors, header


def _check_fits(model: InstrumentedModel, path: Path, header: dict[str, Any]) -> None:
    """Raises BadInput for states of another model."""
    card = model.card
    for what, value, own in (
        ("layers", header["n_layers"], model.n_layers),
        ("the dtype", header["dtype"], card.dtype),
        ("the weights", header["weight_hash"], card.weight_hash),
    ):
        if value != own:
            raise BadInput(
                f"{path} holds states of {header['model']} with {what} {value}.",
                f"those of {card.name}, with {what} {own}",
                "Load that model, in that dtype, or read the document again with this one.",
            )


def _check_has_states(model: InstrumentedModel) -> None:
    if not any(block.states for block in model.layout.blocks):
        raise Unfit(
            f"{model.card.name} keeps no recurrent states.",
            "a recurrent or hybrid model, such as Mamba or Qwen3-Next",
            "Attention remembers by keys and values: put the document before the question.",
        )


def _check_finite(tensors: dict[str, Tensor], name: str) -> None:
    for key, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise NotFinite(
                f"The states of {name} are no finite numbers: {key}.",
                "finite numbers",
                "Read the document again, in float32 if it was half precision.",
            )
