"""A site's own tasks: one YAML file each, in the folder that the configuration names as `tasks` (docs/tasks.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from carelake.errors import ConfigError, DeclarationError
from carelake.gold.cohorts import tasks as own
from carelake.gold.cohorts.circe import event_from
from carelake.gold.cohorts.task import DERIVED, Event, Records, Task
from carelake.gold.features.value_sets import NUMERICS, ValueSet

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,60}$")
_MODEL_KEYS = {"intended_use", "population", "limits", "covariates", "recalibrate_by"}
_SET_KEYS = {"names", "but_not", "snomed", "ids", "below", "without_ids", "without_below"}
_RECORD_KEYS = {"domain", "result", "under", "at_least", *_SET_KEYS}


@dataclass(frozen=True)
class SiteTask:
    """A task with what its model says of itself; `covariates`: every concept on record beside the features."""

    task: Task
    intended_use: str
    population: str
    limits: tuple[str, ...] = ()
    covariates: bool = False
    recalibrate_by: str | None = None


def read(folder: str | None) -> tuple[SiteTask, ...]:
    """The tasks of a folder, by name. Raises ConfigError for a file that cannot be one, with the key and the remedy."""
    if folder is None:
        return ()
    place = Path(folder)
    if not place.is_dir():
        raise ConfigError(f"tasks: there is no folder {folder}")
    found = [_read(f) for f in sorted(place.glob("*.yaml"))]
    taken = {t.name for t in own.TASKS}
    for s in found:
        if s.task.name in taken:
            raise ConfigError(f"tasks: there are two tasks {s.task.name}: give one another name")
        taken.add(s.task.name)
    return tuple(sorted(found, key=lambda s: s.task.name))


def _read(file: Path) -> SiteTask:
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        raise ConfigError(f"{file.name} is not valid YAML: mend it") from None
    if not isinstance(given, dict):
        raise ConfigError(f"{file.name} must be a mapping of keys to values")
    known = {f.name for f in fields(Task)} - {"source"}
    _known(file, given, known | _MODEL_KEYS)
    for key in ("name", "words", "outcome", "intended_use", "population"):
        if not given.get(key):
            raise ConfigError(f"{file.name}: {key} is missing")
    if not _NAME.match(str(given["name"])):
        raise ConfigError(f"{file.name}: a name has small letters, digits and _ and begins with a letter")
    values = {k: v for k, v in given.items() if k not in _MODEL_KEYS}
    for role in ("outcome", "target", "excluded"):
        if role in values:
            values[role] = _event(file, f"{given['name']}_{role}", values[role])
    if "ages" in values:
        values["ages"] = tuple(values["ages"])
    try:
        task = Task(**values, source=f"the site's own declaration, {file.name}")
    except (DeclarationError, TypeError) as e:
        said = str(e) if isinstance(e, DeclarationError) else "a value has the wrong type"
        raise ConfigError(f"{file.name}: {said}") from None
    if not isinstance(given.get("covariates", False), bool):
        raise ConfigError(f"{file.name}: covariates is true or false")
    by = given.get("recalibrate_by")
    return SiteTask(
        task, str(given["intended_use"]), str(given["population"]), tuple(map(str, given.get("limits") or ())),
        given.get("covariates", False), None if by is None else str(by),
    )  # fmt: skip


def _event(file: Path, name: str, given: Any) -> Event:
    """A derived event or one of carelake's own by its name, a Circe file, or records."""
    if isinstance(given, str):
        shipped = {v.name: v for v in vars(own).values() if isinstance(v, Event)}
        if given in DERIVED:
            return Event(given, given.replace("_", " "))
        if given in shipped:
            return shipped[given]
        raise ConfigError(
            f"{file.name}: no event {given}; there are {', '.join(sorted({*DERIVED, *shipped}))}"
        )
    if not isinstance(given, dict):
        raise ConfigError(f"{file.name}: an event is a name, or a mapping with words and circe or records")
    _known(file, given, {"words", "circe", "records", "first"})
    words = str(given.get("words") or name.replace("_", " "))
    if "circe" in given:
        found = event_from(file.parent / str(given["circe"]), name, words)
        return replace(found, first=bool(given.get("first", found.first)))
    records = tuple(_records(file, name, words, r) for r in given.get("records") or ())
    return Event(name, words, records, first=bool(given.get("first", False)))


def _records(file: Path, name: str, words: str, given: Any) -> Records:
    if not isinstance(given, dict):
        raise ConfigError(f"{file.name}: records is a list of mappings")
    _known(file, given, _RECORD_KEYS)
    domain = str(given.get("domain"))
    if "result" in given:
        numeric = next((n for n in NUMERICS if n.name == given["result"]), None)
        if numeric is None:
            raise ConfigError(
                f"{file.name}: no result {given['result']}; there are {', '.join(n.name for n in NUMERICS)}"
            )
        return Records(domain, result=numeric, below=given.get("under"), at_least=given.get("at_least"))
    for key in ("names", "but_not"):  # they become SQL text
        if "'" in str(given.get(key, "")):
            raise ConfigError(f"{file.name}: {key} holds a quotation mark: leave it out, a dot matches it")
        try:
            re.compile(str(given.get(key, "")))
        except re.error:
            raise ConfigError(f"{file.name}: {key} is no regular expression") from None
    try:
        ids = {
            k: tuple(int(i) for i in given.get(k) or ())
            for k in ("ids", "below", "without_ids", "without_below")
        }
        anchors = tuple(str(int(c)) for c in given.get("snomed") or ())
    except (TypeError, ValueError):
        raise ConfigError(f"{file.name}: ids and codes are lists of numbers") from None
    text = {k: str(given[k]) for k in ("names", "but_not") if k in given}
    given_set: dict[str, Any] = {**text, **ids}
    return Records(domain, replace(ValueSet(name, words, anchors=anchors), **given_set))


def _known(file: Path, given: dict[str, Any], known: set[str]) -> None:
    for key in given:
        if key not in known:
            raise ConfigError(f"{file.name}: unknown key {key!r}; known are {', '.join(sorted(known))}")
