"""A table's declaration is refused at import when it cannot hold."""

import pytest

from carelake.core.table import Check, Field, OnFail, Table
from carelake.errors import DeclarationError

ID = Field("id", "bigint", "An id", required=True, reason="R_ID")


def test_a_table_without_a_doc_is_refused():
    with pytest.raises(DeclarationError, match="has no doc"):
        Table("gold/x", "  ", (ID,), ("id",))


def test_a_field_without_a_doc_is_refused():
    with pytest.raises(DeclarationError, match="field y has no doc"):
        Table("gold/x", "One row per id.", (ID, Field("y", "int", "")), ("id",))


@pytest.mark.parametrize("kind", ["varchar(3)", "text", "integer", ""])
def test_a_type_that_spark_does_not_have_is_refused(kind):
    with pytest.raises(DeclarationError, match="wrong name or type"):
        Table("gold/x", "One row per id.", (Field("id", kind, "An id"),), ("id",))


def test_a_key_that_is_no_field_is_refused():
    with pytest.raises(DeclarationError, match="key names other"):
        Table("gold/x", "One row per id.", (ID,), ("other",))


@pytest.mark.parametrize("name", ["x", "/gold/x", "gold/../x", "gold/X", "elsewhere/x"])
def test_a_name_outside_the_lake_is_refused(name):
    with pytest.raises(DeclarationError, match="must be a path below"):
        Table(name, "One row per id.", (ID,), ("id",))


def test_a_field_declared_twice_is_refused():
    with pytest.raises(DeclarationError, match="declared twice"):
        Table("gold/x", "One row per id.", (ID, ID), ("id",))


def test_reasons_name_requirements_and_quarantining_checks_alone():
    table = Table(
        "gold/x", "One row per id.", (ID, Field("n", "int", "A number")), ("id",),
        (Check("positive", "n > 0", reason="R_RANGE"), Check("small", "n < 9", OnFail.WARN)),
    )  # fmt: skip
    assert "R_ID:id_missing" in table.reasons()
    assert "R_RANGE:positive" in table.reasons()
    assert "small" not in table.reasons()
