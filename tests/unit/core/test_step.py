"""A step's wiring is checked when its module is imported."""

import pytest

from carelake.catalog import collect, ordered
from carelake.core.step import AS_OF, Step, step
from carelake.core.table import Field, Table
from carelake.errors import DeclarationError


def _table(name):
    return Table(name, "One row per id.", (Field("id", "bigint", "An id"),), ("id",))


A, B, C = _table("gold/a"), _table("gold/b"), _table("gold/c")


def test_parameters_must_be_the_declared_inputs():
    with pytest.raises(DeclarationError, match="are not the declared"):

        @step(writes=A, others=B)
        def a(other):
            """Wrong parameter."""


def test_a_transform_without_a_docstring_is_refused():
    with pytest.raises(DeclarationError, match="no docstring"):

        @step(writes=A, others=B)
        def a(others):
            return others


def test_a_step_cannot_read_what_it_writes():
    with pytest.raises(DeclarationError, match="reads the table that it writes"):

        @step(writes=A, own=A)
        def a(own):
            """Circular."""


def test_a_step_is_still_a_function_and_knows_what_it_reads():
    @step(writes=A, others=B, as_of=AS_OF)
    def a(others, as_of):
        """Pairs."""
        return others, as_of

    assert a("x", "y") == ("x", "y")
    assert [t.name for t in a.reads] == ["gold/b"]


def test_steps_come_after_what_they_read():
    steps = [
        Step(A, {"b": B}, lambda b: b, "a"),
        Step(B, {"c": C}, lambda c: c, "b"),
        Step(C, {}, lambda: None, "c"),
    ]
    assert [s.name for s in ordered(steps)] == ["gold/c", "gold/b", "gold/a"]


def test_steps_that_wait_for_each_other_are_refused():
    with pytest.raises(DeclarationError, match="wait for each other"):
        ordered([Step(A, {"b": B}, lambda b: b, "a"), Step(B, {"a": A}, lambda a: a, "b")])


class _Module:
    def __init__(self, **values):
        self.__dict__.update(values)
        self.__name__ = "carelake.gold.planted"


def test_two_writers_of_a_table_are_refused():
    first, second = Step(A, {}, lambda: None, "a"), Step(A, {}, lambda: None, "also a")
    with pytest.raises(DeclarationError, match="two writers"):
        collect([_Module(A=A, first=first, second=second)])


def test_a_table_that_nobody_writes_is_refused():
    with pytest.raises(DeclarationError, match="no step writes it"):
        collect([_Module(A=A)])


def test_a_step_that_reads_what_nobody_writes_is_refused():
    with pytest.raises(DeclarationError, match="which no step writes"):
        collect([_Module(a=Step(A, {"b": B}, lambda b: b, "a"))])


def test_a_table_declared_twice_is_refused():
    with pytest.raises(DeclarationError, match="declared twice"):
        collect([_Module(A=A, again=_table("gold/a"), a=Step(A, {}, lambda: None, "a"))])
