"""What the package declares hangs together, and each declaration has a test that imports its module."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from carelake.bronze.source import Source
from carelake.catalog import Catalog, catalog, collect
from carelake.core.table import Field, Table
from carelake.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterable

TESTS = Path(__file__).resolve().parent.parent


def declared_in(known: Catalog) -> dict[str, str]:
    """Each source, contract, step and model, and the module that declares it."""
    return (
        {f"source {name}": f"carelake.sources.{name}" for name in known.sources}
        | {f"contract {name}": f"carelake.{name.replace('/', '.')}" for name in known.contracts}
        | {f"step {name}": s.transform.__module__ for name, s in known.steps.items()}
        | {f"model {name}": f"carelake.models.{name}" for name in known.models}
    )


def imported(text: str) -> set[str]:
    """Names of modules that a file's text imports, and of what it takes from them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def untested(known: Catalog, texts: Iterable[str]) -> list[str]:
    """What is declared in a module that no test file imports."""
    seen = set().union(*map(imported, texts))
    return sorted(what for what, module in declared_in(known).items() if module not in seen)


def test_the_catalog_of_the_package_builds():
    known = catalog()
    assert set(known.sources) >= {"fhir", "cms_rif", "fitbit", "open_mhealth", "enrollment"}
    assert {"silver/omop/person", "gold/person_features", "silver/link/visit"} <= set(known.steps)
    assert "acute_care_1y" in known.models


def test_a_table_without_a_doc_is_refused():
    with pytest.raises(DeclarationError, match="has no doc"):
        Table("gold/planted", " ", (Field("person_id", "bigint", "The person"),), ("person_id",))


def test_a_table_that_no_step_writes_is_refused_in_the_package_too():
    orphan = ModuleType("carelake.gold.planted")
    vars(orphan)["PLANTED"] = Table("gold/planted", "p", (Field("person_id", "bigint", "p"),), ("person_id",))
    with pytest.raises(DeclarationError, match="gold/planted is declared but no step writes it"):
        collect([orphan])


def test_every_source_contract_step_and_model_has_a_test():
    texts = [
        p.read_text(encoding="utf-8")
        for p in sorted(TESTS.rglob("test_*.py"))
        if p.parent != Path(__file__).parent
    ]
    assert untested(catalog(), texts) == []


def test_a_source_without_a_test_is_caught():
    planted = Source("planted", "A format.", ("*.planted",), lambda stream, name: iter(()), frozenset({"x"}))
    known = Catalog({"planted": planted}, {}, {}, {}, {}, frozenset())
    assert untested(known, ["import pytest\n# carelake.sources.planted is only spoken of\n"]) == [
        "source planted"
    ]
    assert untested(known, ["from carelake.sources.planted import SOURCE\n"]) == []
    assert untested(known, ["from carelake.sources import planted\n"]) == []


def test_a_step_moved_to_a_module_without_a_test_is_caught():
    step = catalog().steps["gold/utilisation"]

    def moved():
        """A transform of another module."""

    moved.__module__ = "carelake.gold.planted"
    known = Catalog({}, {}, {"gold/utilisation": replace(step, transform=moved)}, {}, {}, frozenset())
    assert untested(known, ["from carelake.gold.measures.utilisation import UTILISATION\n"]) == [
        "step gold/utilisation"
    ]
