"""Configuration: YAML files into frozen dataclasses; an unknown key is an error."""

from __future__ import annotations

import os
import re
from dataclasses import MISSING, dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from carelake.errors import ConfigError

HOME = Path(os.environ.get("CARELAKE_HOME", Path(__file__).resolve().parents[3]))
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
    gate: tuple[str, ...] = ("fatal",)

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
    if "gate" in merged:
        merged["gate"] = tuple(merged["gate"])
    return Config(
        **_typed(Config, {"env": Path(env).stem, "senders": senders, **merged}, f"configuration {own.name}")
    )
