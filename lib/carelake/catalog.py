"""The catalog finds every Source, contract, Step and Model by walking the package, and refuses a wiring that cannot hold."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import carelake
from carelake.bronze.source import Source
from carelake.core.ops import OPS
from carelake.core.step import Step
from carelake.core.table import Table
from carelake.errors import ConfigError, DeclarationError
from carelake.silver.conformed.conform import Member, contract_step, version_step
from carelake.silver.conformed.version import VERSION
from carelake.silver.omop import brought

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

# Written from more than tables: the links before and after a run; a model's predictions and what becomes of them.
WRITTEN_BY_THE_PIPELINE = frozenset({
    "silver/link/person_history", "silver/link/concept_change", "gold/risk_score", "gold/score_history", "gold/model_monitor",
})  # fmt: skip


@dataclass(frozen=True)
class Catalog:
    """All that the package declares."""

    sources: dict[str, Source]
    contracts: dict[str, Table]
    steps: dict[str, Step]
    models: dict[str, Any]
    declared: dict[str, Table]
    written_elsewhere: frozenset[str]

    def mapped(self, members: list[Member], kinds: Mapping[str, frozenset[str]]) -> dict[str, Table]:
        """The tables that the senders' mappings write: the contracts, and tables of OMOP that came as they are.

        `kinds`: what each sender has landed; a table of which no row came is made by its own step.
        """
        came = [
            m.into
            for sender in members if sender.source.brings_cdm
            for m in sender.source.mappings if not kinds.get(sender.sender, frozenset()).isdisjoint(m.kinds)
        ]  # fmt: skip
        return self.contracts | {t.name: t for t in came}

    def refuse_beside_cdm(self, formats: Mapping[str, str]) -> None:
        """Raises ConfigError when one of the senders (name: format) brings a CDM as it is and is not the only one."""
        alone = sorted(n for n, f in formats.items() if self.sources[f].brings_cdm)
        if alone and len(formats) > 1:
            raise ConfigError(
                f"source {alone[0]}: a CDM that is brought as it is has a lake to itself, since its ids are its own: "
                f"give it, or {', '.join(sorted(set(formats) - {alone[0]}))}, another --lake"
            )

    def plan(self, members: list[Member], kinds: Mapping[str, frozenset[str]] | None = None) -> list[Step]:
        """Every step of silver and gold for these senders, in an order in which inputs come first."""
        mapped = self.mapped(members, kinds or {})
        steps = {n: s for n, s in self.steps.items() if n not in mapped}
        if "silver/omop/person" in mapped:
            link = brought.person_link()
            steps[link.name] = link
        return ordered(
            [version_step(members), *(contract_step(c, members) for c in mapped.values()), *steps.values()]
        )

    def lineage(self, steps: Iterable[Step]) -> list[str]:
        """One line a table: what it is made from."""
        return [f"{s.name} <- {', '.join(sorted(t.name for t in s.reads)) or '(files)'}" for s in steps]


def modules(package: ModuleType = carelake) -> list[ModuleType]:
    """Every module of the package, imported, in order of name."""
    found = [package]
    for info in sorted(pkgutil.walk_packages(package.__path__, package.__name__ + "."), key=lambda i: i.name):
        if info.name.rsplit(".", 1)[-1] not in ("__main__", "build_open"):
            found.append(importlib.import_module(info.name))
    return found


def collect(found: Iterable[ModuleType]) -> Catalog:
    """A catalog of what the modules declare. Raises DeclarationError for two writers, orphans, clashes, cycles."""
    sources: dict[str, Source] = {}
    contracts: dict[str, Table] = {}
    steps: dict[str, Step] = {}
    models: dict[str, Any] = {}
    declared: dict[str, Table] = {}
    elsewhere: set[str] = {t.name for t in OPS} | {VERSION.name} | WRITTEN_BY_THE_PIPELINE
    for module in found:
        for name, value in sorted(vars(module).items()):
            if name.startswith("_"):
                continue
            if isinstance(value, Table):
                if declared.setdefault(value.name, value) is not value:
                    raise DeclarationError(f"table {value.name} is declared twice: keep one declaration")
                owner = f"carelake.{value.name.replace('/', '.')}"
                if (
                    module.__name__ == owner
                    and value.name.startswith("silver/conformed/")
                    and value is not VERSION
                ):
                    contracts[value.name] = value
            elif isinstance(value, Source) and module.__name__.startswith("carelake.sources."):
                if sources.setdefault(value.format, value) is not value:
                    raise DeclarationError(f"source format {value.format} is declared twice")
            elif isinstance(value, Step):
                if steps.setdefault(value.name, value) is not value:
                    raise DeclarationError(f"table {value.name} has two writers: a table has one step")
            elif type(value).__name__ == "RiskModel" and models.setdefault(value.name, value) is not value:
                raise DeclarationError(f"model {value.name} is declared twice")
    for source in sources.values():
        if source.brings_cdm and not source.mappings:
            source.mappings.extend(brought.mappings(source.kinds, declared))
    catalog = Catalog(sources, contracts, steps, models, declared, frozenset(elsewhere))
    _check(catalog)
    return catalog


def _check(catalog: Catalog) -> None:
    written = set(catalog.steps) | set(catalog.contracts) | catalog.written_elsewhere
    for table in catalog.declared.values():
        if table.name not in written and not table.name.startswith("bronze/"):
            raise DeclarationError(f"table {table.name} is declared but no step writes it")
    for s in catalog.steps.values():
        for t in s.reads:
            if t.name not in written and not t.name.startswith("bronze/"):
                raise DeclarationError(f"step {s.name} reads {t.name}, which no step writes")
    for source in catalog.sources.values():
        for m in source.mappings:
            if m.into.name not in (catalog.steps if source.brings_cdm else catalog.contracts):
                raise DeclarationError(
                    f"source {source.format}: {m.name} maps into {m.into.name}, which is no contract"
                )
    ordered(catalog.steps.values())


def ordered(steps: Iterable[Step]) -> list[Step]:
    """Steps with inputs first; among equals by name. Raises DeclarationError on a cycle."""
    waiting = {s.name: s for s in sorted(steps, key=lambda s: s.name)}
    out: list[Step] = []
    while waiting:
        ready = [s for s in waiting.values() if not any(t.name in waiting for t in s.reads)]
        if not ready:
            raise DeclarationError(
                f"the steps {', '.join(sorted(waiting))} wait for each other: break the cycle"
            )
        out += ready
        for s in ready:
            del waiting[s.name]
    return out


@cache
def catalog() -> Catalog:
    """The package's catalog."""
    return collect(modules())
