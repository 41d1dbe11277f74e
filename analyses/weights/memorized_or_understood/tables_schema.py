"""What the tables and findings of the part `tables` mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import TableSchema

NEXT_ROW, FIRST, OPENING, MISSING = "next row", "first value", "opening", "missing value"
"""Tests."""
REDEALT = "rows dealt anew"
"""A version of the table: the same rows in an order that no file has."""
WHOLE = "whole row"

_VERSION = C(
    "version",
    "`original`; `perturbed`: last digits moved and words dealt anew; `rows dealt anew`: the same"
    " rows in another order.",
)
_LOW, _HIGH = C("low", "Lower end of its 95 % interval (Wilson)."), C("high", "Upper end.")

TESTS = (
    "The next row is asked for after the header and the rows before it; its columns one by one,"
    " each after the true values before it; the opening after as much of the file as stands before"
    " it; the missing value (of the column that takes most bits) after the other values of its row."
    " A value is right where greedy decoding says it and goes on behind it. Bits weigh values by"
    " how rare they are, so that a column which is nearly always the same counts little."
)
VERSIONS = (
    "A column is predicted from six other rows. In words the columns have names and no cells; in"
    " the statistical version numbers are standardized and names are gone, so nothing that was read"
    " elsewhere helps."
)

TABLES = [
    TableSchema("table_tests", "What it says of a table, test by test.", [
        _VERSION,
        C("test", "What was asked for."),
        C("column", "The column, or the whole row."),
        C("right", "Share that comes out right."),
        _LOW,
        _HIGH,
        C("bits", "The same, each value weighed by the bits that it takes."),
        C("chance", "How often the best predictor without a model is right, over the whole table."),
        C("predictor", "That predictor: the commonest value, the row before, or the nearest row."),
        C("p", "Probability of as many hits or more by that predictor (exact binomial)."),
        C("n", "Rows that were asked for.", title="rows"),
    ]),
    TableSchema("table_rows", "The rows of the table that were asked for.", [
        C("row", "Number of the row in the file, from 1."),
        C("line", "As it stands there."),
        C("cells_right", "Values that come out right, each after the true ones before it."),
        C("cells", "Values in it."),
        C("whole", "Whether greedy decoding says the whole row."),
    ]),
    TableSchema("table_versions", "How well a column is predicted from six rows.", [
        C("version", "How the table is written, or a rule that needs no model."),
        C("right", "Share of rows whose value comes out right."),
        _LOW,
        _HIGH,
        C("n", "Rows.", title="rows"),
    ]),
]  # fmt: skip
FINDINGS = [
    F("table_known", "Whether the table is known by heart", "share of rows, of bits"),
    F("table_missing", "Missing values of the table", "share of values"),
    F("table_order", "Whether rows can be predicted from the rows before", "share of variance"),
    F("table_versions", "A column predicted from six rows", "share of rows"),
]
