"""How much a step reads: by it Spark is told to interpret or to compile."""

from __future__ import annotations

from carelake.bronze.source import Mapping, Source
from carelake.bronze.table import bronze_table
from carelake.core.step import Step
from carelake.core.table import Field, Table
from carelake.silver.conformed.conform import Member, bytes_read, contract_step


def _table(name: str) -> Table:
    return Table(name, "One row per id.", (Field("id", "bigint", "An id"),), ("id",))


EVENT, NOTE, LINK = (
    _table("silver/conformed/some"),
    _table("silver/conformed/note"),
    _table("silver/link/some"),
)
BYTES = {
    "bronze/clinic": {"Observation": 1000, "Condition": 200, "Patient": 30, "Binary": 5000},
    "bronze/payer": {"carrier": 700, "pde": 8},
    "silver/conformed/version": {"": 4},
    EVENT.name: {"": 90_000},
}


class _Sizes:
    """Of a lake the sizes of its tables alone; of a table that is not among them nothing is known."""

    def size(self, table, parts=None):
        known = BYTES.get(table.name)
        divided = table.partition_by and parts is not None
        return None if known is None else sum(n for k, n in known.items() if not divided or k in parts)


def _source(name: str, *mappings: Mapping) -> Source:
    kinds = frozenset(k for x in mappings for k in (*x.kinds, *x.beside))
    return Source(name, name, ("*",), lambda stream, name: iter(()), kinds, mappings=list(mappings))


MEMBERS = [
    Member(
        "clinic",
        _source(
            "f",
            Mapping(("Observation",), EVENT, lambda f: f, True, beside=("Patient",)),
            Mapping(("Condition",), EVENT, lambda f: f, True),
            Mapping(("Binary",), NOTE, lambda f: f, True),
        ),
    ),
    Member("payer", _source("c", Mapping(("carrier",), EVENT, lambda f: f, True))),
]


def test_of_bronze_a_contract_reads_the_kinds_of_its_mappings_and_writes_what_stays() -> None:
    step = contract_step(EVENT, MEMBERS)
    assert bronze_table("clinic") in step.reads
    assert sum(bytes_read(step, _Sizes(), MEMBERS)) == 1000 + 200 + 30 + 700 + 4 + 90_000


def test_of_other_tables_the_whole_is_read_and_what_is_not_known_is_said() -> None:
    def made(events, links):
        """Nothing."""

    step = Step(LINK, {"events": EVENT, "links": NOTE}, made, "Links.")
    assert bytes_read(step, _Sizes(), MEMBERS) == [90_000, None, None]
