"""Configuration: YAML files into frozen dataclasses; an unknown key is an error."""

from __future__ import annotations

import os
import re
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from carelake.errors import ConfigError

HOME = Path(os.environ.get("CARELAKE_HOME", Path(__file__).resolve().parents[3]))
SEVERITIES = ("fatal", "convention", "characterization")  # of quality checks, as OHDSI's dashboard has them
OWN = "own"  # checks of the lake itself (keys, ledger), which no data of others excuse
_SENDER = re.compile(r"^[a-z][a-z0-9_]{0,40}$")


@dataclass(frozen=True)
class Sender:
    """One who sends records: a hospital, a payer, a device cloud. Names scope all ids."""

    name: str
    format: str
    path: str | None = None
    priority: int = 100  # the smallest gives a linked person its id
    time_zone: str = "UTC"
    shift_days: int = 0
    extract_date: date | None = None
    type_concept_id: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """What mappings and links may know of the sender."""
        return {
            "name": self.name, "format": self.format, "priority": self.priority, "time_zone": self.time_zone,
            "shift_days": self.shift_days, "type_concept_id": self.type_concept_id,
        }  # fmt: skip


@dataclass(frozen=True)
class Threshold:
    """A site's threshold of one check of the dashboard in place of OHDSI's."""

    check: str
    table: str
    percent: float  # of the rows that may violate it
    reason: str
    field: str | None = None
    concept_id: int | None = None
    vocabulary: str | None = None  # only with a vocabulary whose version begins so


@dataclass(frozen=True)
class Exemption:
    """Rows with this concept in this field do not count as violating the check."""

    check: str
    table: str
    field: str
    concept_id: int
    reason: str


@dataclass(frozen=True)
class Drift:
    """How far a table may move from the last published run before it is reported."""

    rows: float = 0.5  # change of the number of rows, as a share of the earlier number
    null_share: float = 0.1  # change of the share of NULL in a field
    psi: float = 0.25  # population stability index of a field's concepts
    min_rows: int = 100  # smaller tables are not judged


@dataclass(frozen=True)
class Quality:
    """What a site says about the quality checks (conf/quality.yaml); each exception with its reason."""

    exclude_tables: dict[str, str] = field(default_factory=dict)
    thresholds: tuple[Threshold, ...] = ()
    exempt: tuple[Exemption, ...] = ()
    drift: Drift = Drift()


@dataclass(frozen=True)
class Upkeep:
    """What `maintain` leaves behind."""

    retain_days: float = 7  # whoever reads a version may read on for so long after it was replaced
    file_mb: int = 128  # MiB that a file has at most
    many_files: int = 8  # small files in one folder of a table that may stay as they are


@dataclass(frozen=True)
class Config:
    """One run's configuration."""

    env: str
    senders: tuple[Sender, ...]
    sample: tuple[Sender, ...] = ()  # the bundled sample, landed when no source is given
    write_threads: int = 3
    vocabulary: str | None = None
    local_maps: str | None = (
        None  # a folder of maps and concepts of the site's own; else beside the vocabulary
    )
    tasks: str | None = None  # a folder of the site's own tasks
    gate: tuple[str, ...] = ("fatal", "convention")
    gate_brought: tuple[str, ...] = (OWN,)  # the same of a lake whose CDM came as it is
    quality: Quality = Quality()
    maintain: Upkeep = Upkeep()

    def sender(self, name: str) -> Sender | None:
        """The sender of this name."""
        return next((s for s in self.senders if s.name == name), None)


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ConfigError(
            f"no configuration {path.name}: give --env the name of a file in conf/ or a path"
        ) from None
    except yaml.YAMLError:
        raise ConfigError(f"{path.name} is not valid YAML: mend it") from None
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path.name} must be a mapping of keys to values")
    return loaded


def _typed(cls: type[Any], given: dict[str, Any], where: str) -> dict[str, Any]:
    known = {f.name: f for f in fields(cls)}
    for key in given:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}; known are {', '.join(sorted(known))}")
    for f in known.values():
        if f.default is MISSING and f.default_factory is MISSING and f.name not in given:
            raise ConfigError(f"{where}: {f.name} is missing")
        value = given.get(f.name)
        kinds = str(f.type)
        wrong = (
            (kinds.startswith("int") and not isinstance(value, int))
            or (kinds.startswith("str") and not isinstance(value, str))
            or (kinds.startswith("float") and (isinstance(value, bool) or not isinstance(value, int | float)))
            or (kinds.startswith("bool") and not isinstance(value, bool))
            or (kinds.startswith("date") and not isinstance(value, date))
        )
        if value is not None and wrong:
            raise ConfigError(f"{where}: {f.name} must be {kinds.split(' ')[0]}")
    return given


def sender_from(name: str, given: dict[str, Any]) -> Sender:
    """A sender from its block of configuration. Raises ConfigError."""
    if not _SENDER.match(name):
        raise ConfigError(f"source {name!r}: a name has small letters, digits and _ and begins with a letter")
    return Sender(**_typed(Sender, {"name": name, **given}, f"source {name}"))


def _gate(name: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not set(given) <= {*SEVERITIES, OWN}:
        raise ConfigError(f"{name} takes a list of severities, of {', '.join((*SEVERITIES, OWN))}")
    return tuple(given)


def quality_from(shared: dict[str, Any], own: dict[str, Any]) -> Quality:
    """conf/quality.yaml, and over it the `quality` block of an environment; lists grow, a later entry wins. Raises ConfigError."""
    _typed(Quality, {**shared, **own}, "quality")
    excluded = {**(shared.get("exclude_tables") or {}), **(own.get("exclude_tables") or {})}
    thresholds = [
        Threshold(**_typed(Threshold, t, "quality: thresholds")) for t in _entries("thresholds", shared, own)
    ]
    for t in thresholds:
        if not 0 <= t.percent <= 100:
            raise ConfigError(f"quality: the threshold of {t.check} of {t.table} is no percentage")
    exempt = [Exemption(**_typed(Exemption, e, "quality: exempt")) for e in _entries("exempt", shared, own)]
    reasons = [(what, str(reason or "")) for what, reason in excluded.items()]
    reasons += [(t.check, t.reason) for t in thresholds] + [(e.check, e.reason) for e in exempt]
    for what, reason in reasons:
        if not reason.strip():
            raise ConfigError(f"quality: the exception for {what} has no reason: give one")
    moved = {**(shared.get("drift") or {}), **(own.get("drift") or {})}
    drift = Drift(**_typed(Drift, moved, "quality: drift"))
    return Quality(excluded, tuple(thresholds), tuple(exempt), drift)


def _entries(name: str, *blocks: dict[str, Any]) -> list[dict[str, Any]]:
    found = [entry for b in blocks for entry in b.get(name) or []]
    if not all(isinstance(e, dict) for e in found):
        raise ConfigError(f"quality: {name} is a list of mappings")
    return found


def load(env: str, home: Path = HOME) -> Config:
    """The configuration `env` (a name in conf/ or a file) over conf/base.yaml and conf/sources.yaml. Raises ConfigError."""
    conf = home / "conf"
    own = Path(env) if "/" in env or env.endswith((".yaml", ".yml")) else conf / f"{env}.yaml"
    merged = _read(conf / "base.yaml") | _read(own)
    blocks: dict[str, Any] = dict(_read(conf / "sources.yaml"))
    for name, block in (merged.pop("sources", None) or {}).items():
        blocks[name] = {**(blocks.get(name) or {}), **(block or {})}
    senders = tuple(sender_from(n, b or {}) for n, b in sorted(blocks.items()))
    known = {s.name: s for s in senders}
    sample = []
    for name, block in (merged.pop("sample", None) or {}).items():
        base = {} if name not in known else {k: v for k, v in vars(known[name]).items() if k != "name"}
        one = sender_from(name, {**base, **(block or {})})
        sample.append(replace(one, path=str(home / one.path) if one.path else None))
    merged["sample"] = tuple(sample)
    if isinstance(merged.get("tasks"), str):
        merged["tasks"] = str(home / merged["tasks"])  # an absolute path stays as it is
    for name in ("gate", "gate_brought"):
        if name in merged:
            merged[name] = _gate(name, merged[name])
    quality = _read(conf / "quality.yaml") if (conf / "quality.yaml").exists() else {}
    merged["quality"] = quality_from(quality, merged.pop("quality", None) or {})
    merged["maintain"] = Upkeep(**_typed(Upkeep, merged.pop("maintain", None) or {}, "maintain"))
    kept = merged["maintain"]
    if kept.retain_days < 0 or kept.file_mb < 1 or kept.many_files < 1:
        raise ConfigError("maintain: retain_days is 0 or more, file_mb and many_files 1 or more")
    return Config(
        **_typed(Config, {"env": Path(env).stem, "senders": senders, **merged}, f"configuration {own.name}")
    )
