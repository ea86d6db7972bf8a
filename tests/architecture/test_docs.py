"""The generated page about tables says what the package declares."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from carelake.catalog import catalog

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def _script():
    spec = importlib.util.spec_from_file_location("docs_tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_md_is_what_make_docs_writes():
    same = (DOCS / "tables.md").read_text(encoding="utf-8") == _script().render(catalog())
    assert same, "docs/tables.md is out of date: run make docs"


def test_every_declared_table_has_its_section():
    page = (DOCS / "tables.md").read_text(encoding="utf-8").splitlines()
    assert {f"### {name}" for name in catalog().declared} <= set(page)


def test_a_table_listed_as_not_written_that_is_written_is_caught(monkeypatch: pytest.MonkeyPatch):
    script = _script()
    monkeypatch.setitem(script.NOT_WRITTEN, "person", "later issue")
    with pytest.raises(ValueError, match="lists person, which a step writes"):
        script.render(catalog())


def test_a_table_of_the_cdm_is_written_or_listed_as_not_written():
    from carelake.silver.omop import cdm

    published = {row["cdmTableName"].lower() for row in cdm._rows("Table")}
    written = {
        name.removeprefix("silver/omop/") for name in catalog().declared if name.startswith("silver/omop/")
    }
    assert published == written | set(_script().NOT_WRITTEN)
