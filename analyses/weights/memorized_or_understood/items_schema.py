"""What the tables and findings of the part `items` mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema, TableSchema

TABLES = [
    TableSchema("items", "The items.", [C("item", "Number of the item, from 0.")]),
]
FINDINGS: list[FindingSchema] = []
