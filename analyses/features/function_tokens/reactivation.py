"""Which features of the subject are active again at the last token, and what the answer loses
without them.

All conditions go through the layers above the autoencoder together, as variants of prompts that are
read once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from analyses.features.function_tokens.constants import LIST
from analyses.features.function_tokens.facts import FactPrompt, pairs
from hooks.layer_replay import check_same, read
from hooks.rounding import note, of_effects
from hooks.sweeps.batched_forward import BatchedForward, Edit

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from hooks.features.sae import SAE
    from hooks.layer_replay import RecordedSuffix
    from workbench.progress import Progress

RANDOM_DRAWS = 5
_AT_ONCE = 48  # prompts that are read together
_NUMBERS = 1 << 26  # activations, or logits, held at once


class Facts:
    """Facts in one wording, read once; what is changed then costs the layers above it, from the
    subject's tokens on.
    """

    def __init__(self, features: SAE, asked: Sequence[FactPrompt]) -> None:
        self.features, self.asked = features, asked
        # Every prompt goes on alike after its subject: so many tokens are there in all of them, the
        # subject's last included.
        self.tail = min(-a.subject[-1] for a in asked)
        self.at: Tensor = torch.zeros(
            len(asked), self.tail, features.width, dtype=torch.float32
        )  # activations at those tokens
        self.subject = torch.zeros(
            len(asked), features.width, dtype=torch.float32
        )  # at the subject: the largest over its tokens
        self.subject_last = torch.zeros_like(self.subject)
        model, place = features.model, features.place
        self._batches: list[tuple[list[int], RecordedSuffix]] = []
        rows = [list(a.ids) for a in asked]
        for same in model.batch_indices([len(row) for row in rows], _AT_ONCE):
            batch = model.batch([rows[i] for i in same])
            first = min(asked[i].subject[0] for i in same)
            suffix = read(model, batch, batch.input_ids.shape[1] + first, [place])
            self._batches.append((same, suffix))
            found = features.encode(self._recorded(suffix)).float().cpu()
            self.at[same] = found[:, -self.tail :]
            for row, i in enumerate(same):
                places = list(asked[i].subject)
                self.subject[i], self.subject_last[i] = (
                    found[row, places].amax(0),
                    found[row, places[-1]],
                )

    def _recorded(self, suffix: RecordedSuffix) -> Tensor:
        """What passed at the features' place, (prompt, pos, …)."""
        place = self.features.place
        assert place.layer is not None
        return suffix.kept[place.site.short, place.layer]

    @property
    def last(self) -> Tensor:
        """Activations at the last token, (fact, feature)."""
        return self.at[:, -1]

    @property
    def again(self) -> Tensor:
        """Which features are active at the subject and again at the last token, (fact, feature)
        bool.
        """
        return (self.subject > 0) & (self.last > 0)

    @torch.no_grad()
    def answers(self, changes: Sequence[FeatureChange] = ()) -> Tensor:
        """Log-probabilities of the first tokens of all answers after each change, (1 + change,
        fact, fact), float32.

        The first is the model as it is.
        """
        model, wanted = self.features.model, [a.answer for a in self.asked]
        place = self.features.place
        assert place.layer is not None
        found = torch.zeros(1 + len(changes), len(self.asked), len(wanted), dtype=torch.float32)
        for same, suffix in self._batches:
            batch, n = suffix.shape
            held, logits = self._recorded(suffix), suffix.logits
            found[0, same] = logits.float().log_softmax(-1)[:, wanted].cpu()
            many = max(
                1, _NUMBERS // (batch * n * max(self.features.width, model.card.d_vocab // n))
            )
            for start in range(0, len(changes), many):
                part = changes[start : start + many]
                where = torch.zeros(len(part), batch, n, dtype=torch.bool, device=held.device)
                for v, change in enumerate(part):
                    for row, i in enumerate(same):
                        where[v, row, self._places(i, change.where)] = True
                goals = torch.stack([change.goal[same] for change in part]).to(held.device)
                edit = Edit(
                    place.site.short, place.layer, self._set(held, goals), where, None, len(part)
                )
                after = BatchedForward(model, suffix, [edit]).run()
                own, *rest = model.unembed(after[:, :, -1]).float()
                error = check_same(own, logits, model)
                own, said = (x.log_softmax(-1)[..., wanted].cpu() for x in (own, torch.stack(rest)))
                note(
                    model,
                    of_effects(error, said - found[0, same], (own - found[0, same]).abs().amax(0)),
                )
                found[1 + start : 1 + start + len(part), same] = said
        return found

    def _places(self, fact: int, where: str | int) -> list[int]:
        subject = list(self.asked[fact].subject)
        return (
            [where]
            if isinstance(where, int)
            else {"last": [-1], "subject": subject, "subject last": subject[-1:]}[where]
        )

    def _set(self, held: Tensor, goals: Tensor) -> Tensor:
        """The vectors with each feature at its goal, (change, prompt, pos, …); the error term
        stays.
        """
        features = self.features
        old = features.encode(held).float()
        by = torch.stack(
            [
                (torch.where(g[:, None].isnan(), old, g[:, None]) - old) @ features.directions
                for g in goals
            ]
        )
        return held + (by * features.input_norm(held)).reshape(len(goals), *held.shape).to(held)


@dataclass(frozen=True)
class FeatureChange:
    """What each feature is set to in each prompt, (fact, feature), NaN where it stays; and at which
    token.

    `where` is "last", the last token; "subject", all of the subject; "subject last", its last
    token; or a number, that token from the end (-1 is the last).
    """

    goal: Tensor
    where: str | int


def ablations(facts: Facts, seed: int) -> pd.DataFrame:
    """What the answer's log-probability loses when features are switched off, fact by fact.

    Returns:
        Columns fact, condition (of `ABLATIONS`), n_features, logprob_drop (nats; random ones: mean
        over draws).
    """
    import pandas as pd

    again = facts.again
    others = (facts.last > 0) & ~again
    counts = again.sum(1)
    fewer = torch.minimum(counts, others.sum(1)).tolist()
    generator = torch.Generator().manual_seed(seed)

    def drawn(pool: Tensor) -> Tensor:
        return torch.stack([_drawn(row, k, generator) for row, k in zip(pool, fewer, strict=True)])

    strongest = torch.stack(
        [_strongest(row, int(k)) for row, k in zip(facts.subject_last, counts, strict=True)]
    )
    conditions = [
        ("reactivated", again, "last"),
        ("reactivated_at_subject", again, "subject"),
        ("strongest_at_subject", strongest, "subject last"),
        *(("reactivated_subset", drawn(again), "last") for _ in range(RANDOM_DRAWS)),
        *(("others", drawn(others), "last") for _ in range(RANDOM_DRAWS)),
    ]
    own, *after = facts.answers(
        [FeatureChange(_goal(0.0, which), where) for _, which, where in conditions]
    )
    rows = [
        {
            "fact": i,
            "condition": condition,
            "n_features": int(which[i].sum()),
            "logprob_drop": float(own[i, i] - now[i, i]),
        }
        for (condition, which, _), now in zip(conditions, after, strict=True)
        for i in range(len(facts.asked))
    ]
    return pd.DataFrame(rows).groupby(["fact", "condition"], as_index=False).mean()


def steerings(facts: Facts, seed: int) -> pd.DataFrame:
    """What happens to the answer when the subject's features are set to those of another subject.

    Set are the features of either subject that are active again at the last token.

    Returns:
        Columns fact, other_fact, condition (of `STEERINGS`), n_features, logit_diff_before and
        logit_diff_after (ln p of the other answer less ln p of the own one), flipped: which share
        of draws end with the other answer likelier than the own one, top_answer: likeliest of all
        facts' answers.
    """
    import pandas as pd

    other = pairs(facts.asked)
    chosen = facts.again | facts.again[other]
    generator = torch.Generator().manual_seed(seed)
    at_subject = (facts.subject_last > 0) | (facts.subject_last[other] > 0)

    def elsewhere() -> Tensor:
        """The same values, on features drawn at random."""
        goal = torch.full_like(facts.last, torch.nan)
        for i, j in enumerate(other):
            free, to = (~chosen[i]).nonzero().flatten(), facts.last[j][chosen[i]]
            places = free[torch.randperm(len(free), generator=generator)[: len(to)]]
            goal[i, places] = to[: len(places)]
        return goal

    conditions = [
        ("last", FeatureChange(_goal(facts.last[other], chosen), "last")),
        ("subject", FeatureChange(_goal(facts.subject_last[other], at_subject), "subject last")),
        *(("random", FeatureChange(elsewhere(), "last")) for _ in range(RANDOM_DRAWS)),
        ("identity", FeatureChange(_goal(facts.last, chosen), "last")),
    ]
    before, *after = facts.answers([change for _, change in conditions])
    rows = [
        {
            "fact": i,
            "other_fact": j,
            "condition": condition,
            "n_features": int((~change.goal[i].isnan()).sum()),
            "logit_diff_before": float(before[i, j] - before[i, i]),
            "logit_diff_after": float(now[i, j] - now[i, i]),
            "flipped": float(now[i, j] > now[i, i]),
            "top_answer": float(now[i, j] >= now[i].max()),
        }
        for (condition, change), now in zip(conditions, after, strict=True)
        for i, j in enumerate(other)
    ]
    return pd.DataFrame(rows).groupby(["fact", "other_fact", "condition"], as_index=False).mean()


def steering_by_position(facts: Facts) -> pd.DataFrame:
    """Steering as in `steerings`, at one token after another, from the subject's last to the
    prompt's last.

    At each the features are set that are active at either subject, and there in either prompt.

    Returns:
        Columns fact, pos (-1 is the last token), id (the token's), n_features, logit_diff_change
        (nats: what ln p of the other answer less that of the own one gains).
    """
    import pandas as pd

    other = pairs(facts.asked)
    places = range(-facts.tail, 0)
    changes = []
    for pos in places:
        here = facts.at[:, pos]
        mask = (facts.subject > 0) & (here > 0)
        changes.append(FeatureChange(_goal(here[other], mask | mask[other]), pos))
    before, *after = facts.answers(changes)
    rows = [
        {
            "fact": i,
            "pos": pos,
            "id": facts.asked[i].ids[pos],
            "n_features": int((~change.goal[i].isnan()).sum()),
            "logit_diff_change": float((now[i, j] - now[i, i]) - (before[i, j] - before[i, i])),
        }
        for pos, change, now in zip(places, changes, after, strict=True)
        for i, j in enumerate(other)
    ]
    return pd.DataFrame(rows)


def measure(
    opened: Sequence[SAE],
    labels: Sequence[str],
    asked: Mapping[str, Sequence[FactPrompt]],
    seed: int,
    progress: Progress,
) -> dict[str, pd.DataFrame]:
    """All of it for every autoencoder and wording.

    Returns:
        `ablations`, `steerings` and `steering_by_position`, with columns sae and wording;
        `reactivated_features` (sae, wording, n_reactivated, n_active: mean numbers of features);
        `wordings` (wording, example, last_token: id of its last token).
    """
    import pandas as pd

    frames: dict[str, list[pd.DataFrame]] = {
        "ablations": [],
        "steerings": [],
        "steering_by_position": [],
    }
    counts = []
    for n, (features, label) in enumerate(zip(opened, labels, strict=True)):
        for k, (wording, facts) in enumerate(asked.items()):
            progress(
                (n + k / len(asked)) / len(opened),
                f"Features of the subject at the last token: {label}, {wording}",
            )
            read_ = Facts(features, facts)
            tags = {"sae": label, "wording": wording}
            if wording != LIST:  # there the subject is the last token
                frames["ablations"].append(ablations(read_, seed).assign(**tags))
                frames["steering_by_position"].append(steering_by_position(read_).assign(**tags))
            frames["steerings"].append(steerings(read_, seed).assign(**tags))
            means = {
                "n_reactivated": read_.again.sum(1).float().mean(),
                "n_active": (read_.last > 0).sum(1).float().mean(),
            }
            counts.append({**tags, **{name: float(value) for name, value in means.items()}})
    decode = opened[0].model.text.decode
    rows = [
        (wording, decode(list(facts[0].ids)), facts[0].ids[-1]) for wording, facts in asked.items()
    ]
    return {
        **{name: pd.concat(parts, ignore_index=True) for name, parts in frames.items()},
        "reactivated_features": pd.DataFrame(counts),
        "wordings": pd.DataFrame(rows, columns=["wording", "example", "last_token"]),
    }


def _goal(to: Tensor | float, which: Tensor) -> Tensor:
    """`to` for the features chosen, NaN for those that stay."""
    return torch.where(which, torch.as_tensor(to, dtype=torch.float32), torch.nan)


def _strongest(values_: Tensor, k: int) -> Tensor:
    which = torch.zeros_like(values_, dtype=torch.bool)
    which[values_.topk(k).indices] = True
    return which & (values_ > 0)


def _drawn(of: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """So many of those, all where there are fewer."""
    places = of.nonzero().flatten()
    which = torch.zeros_like(of)
    which[places[torch.randperm(len(places), generator=generator)[:k]]] = True
    return which
