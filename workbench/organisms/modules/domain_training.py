"""Training models on two domains: one with experts all at once, one with adapters in three stages.

An adapter learns its domain beside a model that is not changed, and the gate is trained last, on
texts of both, by the loss of the texts alone: no one tells it which domain a text is of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from workbench.organisms.modules import domain_world
from workbench.organisms.modules.domain_world import DOMAINS, DomainFact
from workbench.organisms.modules.families import ModuleFamily
from workbench.progress import Progress

if TYPE_CHECKING:
    import torch

    Draw = Callable[[torch.Generator], torch.Tensor]

SENTENCE, ANSWER_AT = 6, 4
"""Tokens of a sentence: two names, two words, the answer, a full stop; where the answer stands."""
LINES, ROWS, WARMUP = 4, 64, 50
ADAPTER_STEPS, GATE_STEPS, BALANCE = 2400, 200, 0.02
_NOT_ASKED = -100


def train_domains(family: ModuleFamily, seed: int, progress: Progress) -> Any:
    """From nothing; the same numbers from the same seed on the same processor.

    Raises:
        Cancelled: from `progress`.
    """
    import torch

    from workbench.memory_lm.domain_adapters import NONE, DomainAdapters

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family.make()
    sentences = sentences_of([fact for fact in domain_world.facts_of(seed) if fact.read])
    gated = [module for module in model.modules() if isinstance(module, DomainAdapters)]
    if not gated:
        stage = _Stage(model, family, seed, progress)
        stage.train(list(model.parameters()), lambda lot: _texts(sentences, lot), family.steps)
        return model.eval()
    (memory,) = gated
    new = {id(parameter) for parameter in memory.adapters.parameters()}
    new |= {id(parameter) for parameter in memory.gate.parameters()}
    base = [parameter for parameter in model.parameters() if id(parameter) not in new]
    parts = len(DOMAINS) + 1
    first = _Stage(model, family, seed, progress.subprogress(0, 1 / parts))
    memory.only = NONE
    common = _tokens(domain_world.common_facts(seed))
    first.train(base, lambda lot: _common_and_talk(common, lot), family.steps)
    for number, own in enumerate(sentences):
        memory.only = number
        part = progress.subprogress((number + 1) / parts, (number + 1.9) / parts)
        stage = _Stage(model, family, seed + number + 1, part)
        one = torch.stack([own])
        stage.train(
            memory.adapters[number].parameters(),
            lambda lot, one=one, number=number: _texts(one, lot, [number]),  # type: ignore[misc]
            ADAPTER_STEPS,
            family.value_rate,
        )
    memory.only = None
    last = _Stage(model, family, seed, progress.subprogress(1 - 0.1 / parts, 1))
    last.train(memory.gate.parameters(), lambda lot: _texts(sentences, lot), GATE_STEPS)
    return model.eval()


class _Stage:
    """Some of a model's parameters, trained on texts of one kind."""

    def __init__(self, model: Any, family: ModuleFamily, seed: int, progress: Progress) -> None:
        self.model, self.family, self.seed, self.progress = model, family, seed, progress

    def train(
        self,
        parameters: Iterable[torch.nn.Parameter],
        draw: Draw,
        steps: int,
        rate: float | None = None,
    ) -> None:
        """`rate` is the highest learning rate; None is that of the family."""
        import torch

        lot = torch.Generator().manual_seed(self.seed)
        trained = list(parameters)
        rate = self.family.rate if rate is None else rate
        optimizer = torch.optim.Adam(trained, lr=rate)
        for step in range(steps):
            share = min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))
            for group in optimizer.param_groups:
                group["lr"] = rate * share
            loss = _loss(self.model, draw(lot))
            self.model.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            self.progress(step / steps, f"step {step} of {steps}, loss {loss.item():.2f}")
        self.model.zero_grad(set_to_none=True)


def sentences_of(facts: Iterable[DomainFact]) -> torch.Tensor:
    """Their tokens without the domain's name, (domain, fact, token)."""
    import torch

    facts = list(facts)
    return torch.stack(
        [_tokens([fact for fact in facts if fact.domain == domain]) for domain in DOMAINS]
    )


def _tokens(facts: Iterable[DomainFact]) -> torch.Tensor:
    import torch

    sentences = [fact.sentence for fact in facts]
    return torch.tensor(domain_world.make_tokenizer()(sentences)["input_ids"])


def _texts(
    sentences: torch.Tensor, lot: torch.Generator, names: list[int] | None = None
) -> torch.Tensor:
    """Texts of some sentences of one domain each, behind its name, (row, token).

    Args:
        names: numbers of the domains that `sentences` has, all of them where it is None.
    """
    import torch

    numbers = torch.tensor(names if names is not None else range(len(DOMAINS)))
    which = torch.randint(len(sentences), (ROWS,), generator=lot)
    chosen = torch.randint(sentences.shape[1], (ROWS, LINES), generator=lot)
    heads = torch.tensor(domain_world.make_tokenizer()(list(DOMAINS))["input_ids"])
    return torch.cat([heads[numbers[which]], sentences[which[:, None], chosen].flatten(1)], 1)


def _common_and_talk(common: torch.Tensor, lot: torch.Generator) -> torch.Tensor:
    """Texts of what is true everywhere, and as many of talk."""
    import torch

    head = torch.tensor(domain_world.make_tokenizer()(domain_world.EVERYWHERE)["input_ids"])
    chosen = torch.randint(len(common), (ROWS, LINES), generator=lot)
    return torch.cat([torch.cat([head.expand(ROWS, 1), common[chosen].flatten(1)], 1), _talk(lot)])


def _talk(lot: torch.Generator) -> torch.Tensor:
    """Texts about anybody with any answer of the domain: what the language is, and no facts."""
    import random

    import torch

    draw = random.Random(int(torch.randint(2**31 - 1, (), generator=lot)))
    rows = []
    for _ in range(ROWS):
        domain = draw.choice(DOMAINS)
        said = []
        for _ in range(LINES):
            name = f"{draw.choice(domain_world.FIRST_NAMES)} {draw.choice(domain_world.LAST_NAMES)}"
            relation = draw.choice(list(domain_world.RELATIONS))
            answer = draw.choice(domain_world.answers_in(domain, relation))
            said.append(DomainFact(name, relation, answer, domain=domain).sentence)
        rows.append(" ".join([domain, *said]))
    return torch.tensor(domain_world.make_tokenizer()(rows)["input_ids"])


def _loss(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Of everything that can be known (who is spoken of, and what of him, is drawn by lot), and of
    experts how evenly they are used.
    """
    import torch

    labels = ids.clone()
    labels[:, 0] = _NOT_ASKED
    labels[:, 1:].unflatten(1, (-1, SENTENCE))[..., :3] = _NOT_ASKED
    experts = hasattr(model.config, "num_experts")
    out = model(
        input_ids=ids, use_cache=False, **({"output_router_logits": True} if experts else {})
    )
    loss: torch.Tensor = torch.nn.functional.cross_entropy(
        out.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=_NOT_ASKED
    )
    return loss + BALANCE * out.aux_loss if experts else loss


def domain_recall(model: Any, facts: Iterable[DomainFact]) -> float:
    """Share of these facts whose answer is the likeliest word behind the domain's name, the
    subject and the relation.
    """
    import torch

    asked, tokenizer = list(facts), domain_world.make_tokenizer()
    ids = torch.tensor(tokenizer([f"{fact.prompt} {fact.answer}" for fact in asked])["input_ids"])
    with torch.no_grad():
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits[:, -1]
    return float((logits.argmax(-1) == ids[:, -1]).float().mean())
