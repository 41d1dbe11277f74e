"""What a form and a listing say of the fields of an analysis' `Params`: the words above a field,
and which few stand first.

A field is marked as essential with `Field(…, json_schema_extra={"essential": True})`. Where no
field is marked the first ones are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

ESSENTIAL = 5
"""Fields at most that stand first; the others are under *More settings*."""


def essential(params: type[BaseModel]) -> list[str]:
    """Names of the fields that stand first, in their order; a required field is always one."""
    fields = params.model_fields
    marked = [name for name, field in fields.items() if extra(field).get("essential") is True]
    required = {name for name, field in fields.items() if field.is_required()}
    first = set((marked or list(fields))[:ESSENTIAL]) | required
    return [name for name in fields if name in first]


def parts_field(default: Sequence[str]) -> Any:
    """The field `parts` of an analysis with several experiments: those of the default, at least
    one.
    """
    from pydantic import Field

    return Field(
        list(default),
        min_length=1,
        description="Experiments to run, with those that they need",
        json_schema_extra={"essential": True},
    )


def label(name: str, field: FieldInfo) -> str:
    """ "n_facts" -> "N facts", unless the field has a title of its own."""
    return field.title or name.replace("_", " ").strip().capitalize()


def extra(field: FieldInfo) -> Mapping[str, Any]:
    """What a field says of itself besides type and bounds."""
    given = field.json_schema_extra
    return given if isinstance(given, Mapping) else {}
