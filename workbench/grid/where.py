"""Where pieces of work are done: on which engine, by how many workers, with models loaded how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.errors import BadInput
from workbench.grid import local
from workbench.grid.engine import Engine, Loading
from workbench.models import placement

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Where:
    """Where runs of a grid, or other pieces of work, are done.

    Attributes:
        engine: "local" (processes of this machine) or "ray".
        address: of the Ray cluster's head; None takes one that is found, else starts one here.
        workers: pieces at a time; None is as many as fit.
        loading: how every worker loads its model.
    """

    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    loading: Loading = field(default_factory=Loading)


def check(where: Where) -> None:
    """Raises BadInput for an engine that there is not, or where models cannot be loaded as asked.
    What other machines can load only they know.
    """
    if where.engine not in ENGINES:
        raise BadInput(
            f"There is no engine {where.engine!r}.", " or ".join(ENGINES), "Choose one of them."
        )
    if where.engine == "local" and where.address is not None:
        raise BadInput(
            "An address is of a Ray cluster.", "the engine ray", "Choose it, or leave it out."
        )
    if where.engine == "local":
        how = where.loading
        placement.parse(how.device, how.max_memory, how.offload, how.bits)
    if where.engine == "ray":
        from workbench.grid import ray_engine

        ray_engine.check(where.address)


def start(where: Where, models: Sequence[str], n_pieces: int) -> tuple[Engine, int]:
    """The engine, and how many workers it will have.

    Args:
        models: references of all that the pieces need.

    Raises:
        BadInput: no cluster answers.
    """
    if where.engine == "ray":
        from workbench.grid import ray_engine

        return ray_engine.start(where.address, where.workers, n_pieces)
    loading = where.loading
    # What is spread over a machine's memory has been given all of it.
    fit = 1 if loading.max_memory else local.as_many_as_fit(models, n_pieces, loading.device)
    many = min(where.workers or fit, n_pieces)
    return local.Local(many, loading.device), many
