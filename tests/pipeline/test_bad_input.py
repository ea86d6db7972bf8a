"""Damage planted among five people's records: each piece ends where it belongs, all else loads, and no value leaks."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.books import lines, read, tables, unbalanced
from tests.helpers.cli import FIVE, carelake, note

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
]  # a run takes a minute or two, on a machine that others use far longer

MARKER = "ZZMARKERNAME"
LATE = "zzmarkername-late"  # a patient whose record comes with the second landing
# The conditions of Condition.planted.ndjson by line, from 1.
(
    GOOD,
    NOT_JSON,
    NO_ID,
    BAD_ONSET,
    OLD,
    NEW,
    ONE,
    OTHER,
    COPY,
    NOT_UTF8,
    WAITS,
    CENTURY_LATE,
    CENTURY_EARLY,
    CUT,
) = range(1, 15)
# The patients of Patient.planted.ndjson.
NO_SUCH_DAY, TWIN, OTHER_TWIN, OF_ITSELF = range(1, 5)


@dataclass(frozen=True)
class Landings:
    """The lake after the second landing, and both runs."""

    lake: Path
    first: dict[str, Any]
    second: dict[str, Any]
    runs: tuple[subprocess.CompletedProcess[str], ...]

    def ledger(self, kind: str, stage: str, run: dict[str, Any] | None = None) -> tuple[int, ...]:
        """In, written, duplicate, superseded, excluded, quarantined."""
        (row,) = [
            r
            for r in read(self.lake, "ops/ledger").to_pylist()
            if (r["kind"], r["stage"], r["run_id"]) == (kind, stage, (run or self.first)["run_id"])
        ]
        names = ("in", "written", "duplicate", "superseded", "excluded", "quarantined")
        return tuple(row[f"rows_{n}"] for n in names)

    def quarantine(self, run: dict[str, Any] | None = None) -> set[tuple[str, int | None, str, str, str]]:
        """File, record number, stage, reason, severity of what was not just excluded."""
        return {
            (r["file"], r["record_no"], r["stage"], r["reason"], r["severity"])
            for r in read(self.lake, "ops/quarantine").to_pylist()
            if r["run_id"] == (run or self.first)["run_id"] and r["severity"] != "excluded"
        }


def _condition(ident: str | None, **more: Any) -> dict[str, Any]:
    """A sound condition of one of the five, told apart by its id."""
    sound = json.loads(lines(FIVE / "fhir" / "Condition.ndjson.gz")[0])
    made = {**sound, "id": ident, **more}
    return {k: v for k, v in made.items() if v is not None}


def _conditions() -> bytes:
    """Line by line what the constants at the top name."""
    text = {"code": {**_condition("x")["code"], "text": MARKER}}
    good = json.dumps(_condition("planted-good"))
    not_utf8 = json.dumps(_condition("planted-utf8", **text)).encode().replace(b"MARKER", b"MARKER\xff\xfe")
    made: dict[int, str | bytes] = {
        GOOD: good,
        NOT_JSON: json.dumps(_condition("planted-syntax", **text))[:-1] + ",}",
        NO_ID: json.dumps(_condition(None, **text)),
        BAD_ONSET: json.dumps(_condition("planted-onset", onsetDateTime="2020-13-45", **text)),
        OLD: json.dumps(_condition("planted-two", meta={"lastUpdated": "2020-01-01T00:00:00Z"}, **text)),
        NEW: json.dumps(_condition("planted-two", meta={"lastUpdated": "2021-01-01T00:00:00Z"})),
        ONE: json.dumps(_condition("planted-conflict", meta={"lastUpdated": "2020-01-01T00:00:00Z"}, **text)),
        OTHER: json.dumps(_condition("planted-conflict", meta={"lastUpdated": "2020-01-01T00:00:00Z"})),
        COPY: good,
        NOT_UTF8: not_utf8,
        WAITS: json.dumps(
            _condition("planted-waits", subject={"reference": f"Patient/{LATE}"}, encounter=None)
        ),
        CENTURY_LATE: json.dumps(_condition("planted-late", onsetDateTime="2119-01-05", **text)),
        CENTURY_EARLY: json.dumps(_condition("planted-early", onsetDateTime="1869-01-05")),
        CUT: json.dumps(_condition("planted-cut", **text))[:700],
    }
    return b"\n".join(x if isinstance(x, bytes) else x.encode() for _, x in sorted(made.items()))


def _patient(ident: str, born: str, **more: Any) -> str:
    return json.dumps({
        "resourceType": "Patient", "id": ident, "gender": "female", "birthDate": born,
        "name": [{"use": "official", "family": MARKER, "given": ["Zoe"]}],
    } | more)  # fmt: skip


def _patients() -> str:
    """Line by line what the constants at the top name."""
    version = {"meta": {"lastUpdated": "2020-01-01T00:00:00Z"}}
    itself = {"link": [{"type": "seealso", "other": {"reference": "Patient/planted-itself"}}]}
    return "\n".join((
        _patient("planted-birth", "1985-02-30"), _patient("planted-twin", "1950-01-02", **version),
        _patient("planted-twin", "1971-05-06", **version), _patient("planted-itself", "1950-01-02", **itself),
    ))  # fmt: skip


def _encounter() -> str:
    """An encounter of one of the five that ends before it starts."""
    sound = json.loads(lines(FIVE / "fhir" / "Encounter.ndjson.gz")[0])
    period = {"start": "2020-01-05T10:00:00Z", "end": "2020-01-04T11:00:00Z"}
    return json.dumps(sound | {"id": "planted-reversed", "period": period})


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Landings:
    """A damaged copy of the five people's FHIR, and a second folder in which the missing patient arrives."""
    folder = tmp_path_factory.mktemp("bad")
    damaged, later, lake = folder / "damaged", folder / "later", folder / "lake"
    shutil.copytree(FIVE / "fhir", damaged)
    later.mkdir()
    (damaged / "Condition.planted.ndjson").write_bytes(_conditions())
    (damaged / "Patient.planted.ndjson").write_text(_patients() + "\n")
    (damaged / "Encounter.planted.ndjson").write_text(_encounter() + "\n")
    whole = (FIVE / "fhir" / "Immunization.ndjson.gz").read_bytes()
    packed = gzip.compress((MARKER + gzip.decompress(whole).decode()).encode())
    (damaged / "Immunization.cut.ndjson.gz").write_bytes(packed[: len(packed) // 2])
    (later / "Patient.late.ndjson").write_text(_patient(LATE, "1950-01-02") + "\n")
    runs, told = [], []
    for n, source in enumerate((damaged, later), start=1):
        path = folder / f"note{n}.json"
        runs.append(
            carelake(
                "pipeline",
                "--lake",
                str(lake),
                "--source",
                f"fhir={source}",
                "--until",
                "silver",
                "--json",
                str(path),
            )
        )
        assert runs[-1].returncode == 0, runs[-1].stderr
        told.append(note(path))
    return Landings(lake, *told, tuple(runs))


def test_each_damage_ends_where_it_belongs(landed):
    planted = "Condition.planted.ndjson"
    assert landed.quarantine() == {
        ("Immunization.cut.ndjson.gz", None, "bronze", "F_TRUNCATED_CONTAINER", "quarantined"),
        (planted, NOT_JSON, "bronze", "R_SYNTAX", "quarantined"),
        (planted, NO_ID, "bronze", "R_ID", "quarantined"),
        (planted, NOT_UTF8, "bronze", "R_ENCODING", "quarantined"),
        (planted, CUT, "bronze", "R_TRUNCATED", "quarantined"),
        (planted, BAD_ONSET, "conformed", "R_DATE", "quarantined"),
        (planted, ONE, "conformed", "R_CONFLICT_DUP", "quarantined"),
        (planted, OTHER, "conformed", "R_CONFLICT_DUP", "quarantined"),
        (planted, CENTURY_LATE, "conformed", "R_TEMPORAL", "quarantined"),
        ("Patient.planted.ndjson", NO_SUCH_DAY, "conformed", "R_DATE", "quarantined"),
        ("Patient.planted.ndjson", TWIN, "conformed", "R_CONFLICT_DUP", "quarantined"),
        ("Patient.planted.ndjson", OTHER_TWIN, "conformed", "R_CONFLICT_DUP", "quarantined"),
        ("Patient.planted.ndjson", OF_ITSELF, "conformed", "R_REF", "quarantined"),
        ("Encounter.planted.ndjson", 1, "conformed", "R_TEMPORAL", "quarantined"),
        (planted, WAITS, "omop", "R_REF", "quarantined"),
    }
    rows = [r for r in read(landed.lake, "ops/quarantine").to_pylist() if r["file"] == planted]
    offsets = {r["byte_offset"] for r in rows if r["severity"] != "excluded"}
    text = _conditions()
    starts = {0, *(i + 1 for i, b in enumerate(text) if b == ord("\n"))}
    assert offsets <= starts
    assert len(offsets) == 9
    left_out = {(r["stage"], r["rule"], r["n_records"]) for r in rows if r["severity"] == "excluded"}
    assert left_out == {("omop", "before_birth", 1)}


def test_the_ledger_counts_each_damage_once(landed):
    # in, written, duplicate, superseded, excluded, quarantined; the fixture itself has 127 conditions.
    assert landed.ledger("Condition", "bronze") == (127 + 14, 127 + 10, 0, 0, 0, 4)
    assert landed.ledger("Condition", "conformed") == (127 + 10, 127 + 4, 1, 1, 0, 4)
    assert landed.ledger("Condition", "omop") == (127 + 4, 127 + 2, 0, 0, 1, 1)
    assert landed.ledger("Patient", "bronze") == (5 + 4, 5 + 4, 0, 0, 0, 0)
    assert landed.ledger("Patient", "conformed") == (5 + 4, 5, 0, 0, 0, 4)
    assert landed.ledger("Encounter", "conformed") == (110 + 1, 110, 0, 0, 0, 1)
    assert landed.ledger("Immunization", "bronze") == (58 + 1, 58, 0, 0, 0, 1)
    assert unbalanced(landed.lake) == []


def test_all_else_loads(landed):
    for kind, n in {"Encounter": 110, "Observation": 747, "Procedure": 382, "Immunization": 58}.items():
        assert landed.ledger(kind, "omop") == (n, n, 0, 0, 0, 0), kind
    records = {
        (r["file"], r["record_no"]): r["record_id"]
        for r in read(landed.lake, "bronze/fhir", ["file", "record_no", "record_id"]).to_pylist()
    }
    loaded = {
        r["_record"] for name in tables(landed.lake, "silver/omop") for r in _records(landed.lake, name)
    }
    mine = {n for n in range(1, 15) if records["Condition.planted.ndjson", n] in loaded}
    assert mine >= {NEW, WAITS}, "the second landing brought the person of the one that waited"
    assert mine - {NEW, WAITS} in ({GOOD}, {COPY}, {GOOD, COPY}), "copies of one record may share its id"


def _records(lake: Path, name: str) -> list[dict[str, Any]]:
    if "_record" not in read(lake, name).column_names:
        return []
    found: list[dict[str, Any]] = read(lake, name, ["_record"]).to_pylist()
    return found


def test_what_waited_is_released_when_its_patient_arrives(landed):
    (waits,) = [
        r
        for r in read(landed.lake, "ops/quarantine").to_pylist()
        if r["run_id"] == landed.first["run_id"] and r["stage"] == "omop" and r["severity"] == "quarantined"
    ]
    assert waits["rule"] == "pending:person"
    assert ("Condition.planted.ndjson", WAITS, "omop", "R_REF", "released") in landed.quarantine(
        landed.second
    )
    # An increment counts the records that it concerns: the one that waited.
    assert landed.ledger("Condition", "omop", landed.second) == (1, 1, 0, 0, 0, 0)
    assert len(read(landed.lake, "silver/omop/person")) == 5 + 1


def test_no_value_of_a_record_is_told(landed):
    said = [run.stdout + run.stderr for run in landed.runs] + [json.dumps([landed.first, landed.second])]
    for name in tables(landed.lake, "ops"):
        said.append(json.dumps(read(landed.lake, name).to_pylist(), default=str))
    for path in landed.lake.rglob("*"):
        if path.is_file() and (
            "_delta_log" in path.parts or path.suffix in (".json", ".log", ".html", ".txt", ".crc")
        ):
            said.append(path.read_bytes().decode("latin-1"))
    for value in (MARKER, LATE, "1985-02-30", "2020-13-45"):
        assert not [text[:80] for text in said if value.lower() in text.lower()], value
    raw = read(landed.lake, "bronze/fhir", ["raw"])["raw"].cast("binary")  # as sent: one record is no UTF-8
    bronze = b"\n".join(raw.to_pylist())
    assert all(value.encode() in bronze for value in (MARKER, LATE, "1985-02-30", "2020-13-45")), (
        "the search finds what is there"
    )
