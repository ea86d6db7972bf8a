"""Circe: the cohort definitions that OHDSI's ATLAS exports, read as an event; what cannot be kept is refused by name.

After the format of OHDSI/circe-be (CohortExpression). An event here is the entry into the cohort: a record of the primary criteria.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from carelake.errors import ConfigError
from carelake.gold.cohorts.task import Event, Records
from carelake.gold.features.value_sets import ValueSet

if TYPE_CHECKING:
    from pathlib import Path

_DOMAINS = {
    "ConditionOccurrence": "condition", "DrugExposure": "drug", "ProcedureOccurrence": "procedure", "Measurement": "measurement",
    "Observation": "observation", "DeviceExposure": "device",
}  # fmt: skip
# they say when a person leaves the cohort, which an event does not ask
_OF_THE_END = {
    "EndStrategy",
    "CollapseSettings",
    "cdmVersionRange",
    "Title",
    "ConceptSets",
    "PrimaryCriteria",
}
_LIMITS = {"QualifiedLimit", "ExpressionLimit"}


def event_from(file: Path, name: str, words: str) -> Event:
    """The event of a Circe file. Raises ConfigError for a file that is none, and for each construct that is not supported."""
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        primary = given["PrimaryCriteria"]
        criteria = primary["CriteriaList"]
        sets = {s["id"]: s["expression"]["items"] for s in given["ConceptSets"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{file.name} is no cohort definition as ATLAS exports it (Circe JSON)") from None
    for key, value in given.items():
        if key not in _OF_THE_END | _LIMITS and value not in ({}, [], None):
            _refuse(file, key)
    for key, value in primary.items():
        if key not in {"CriteriaList", "ObservationWindow", "PrimaryCriteriaLimit"} and value not in (
            {},
            [],
            None,
        ):
            _refuse(file, f"PrimaryCriteria.{key}")
    window = primary.get("ObservationWindow") or {}
    if window.get("PriorDays") or window.get("PostDays"):
        _refuse(file, "PrimaryCriteria.ObservationWindow", "say seen_months in the task instead")
    limits = {str((given.get(k) or {}).get("Type", "All")) for k in _LIMITS}
    limits.add(str((primary.get("PrimaryCriteriaLimit") or {}).get("Type", "All")))
    if not limits <= {"All", "First"}:
        _refuse(file, "a limit other than All or First")
    if not criteria:
        raise ConfigError(f"{file.name} has no primary criteria: an event needs at least one")
    records, firsts = [], set()
    for entry in criteria:
        domain, criterion = next(iter(entry.items()))
        if domain not in _DOMAINS:
            _refuse(file, f"PrimaryCriteria.CriteriaList.{domain}")
        for key, value in criterion.items():
            if key not in {"CodesetId", "First"} and value not in ({}, [], None, False):
                _refuse(file, f"{domain}.{key}")
        if criterion.get("CodesetId") not in sets:
            _refuse(file, f"{domain} without a concept set")
        firsts.add(bool(criterion.get("First")))
        records.append(Records(_DOMAINS[domain], _concepts(file, name, words, sets[criterion["CodesetId"]])))
    if firsts == {True, False}:
        _refuse(file, "First of some criteria and not of others")
    return Event(name, words, tuple(records), first="First" in limits or True in firsts)


def _concepts(file: Path, name: str, words: str, items: list[dict[str, Any]]) -> ValueSet:
    chosen: dict[str, list[int]] = {"ids": [], "below": [], "without_ids": [], "without_below": []}
    for item in items:
        if item.get("includeMapped"):
            _refuse(file, "includeMapped of a concept set")
        deep = "below" if item.get("includeDescendants") else "ids"
        chosen[f"without_{deep}" if item.get("isExcluded") else deep].append(
            int(item["concept"]["CONCEPT_ID"])
        )
    if not chosen["ids"] + chosen["below"]:
        raise ConfigError(f"{file.name}: a concept set includes no concept")
    ids: dict[str, Any] = {k: tuple(v) for k, v in chosen.items()}
    return replace(ValueSet(name, words), **ids)


def _refuse(file: Path, what: str, remedy: str = "leave it out, or declare the task in YAML") -> None:
    raise ConfigError(f"{file.name}: {what} is not supported: {remedy}")
