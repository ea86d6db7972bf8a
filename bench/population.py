"""The population that is measured: made by Synthea once, kept under .venv/cache until the benchmark deletes it."""

from __future__ import annotations

import csv
import re
import shutil
import sys
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING

from bench.process import ROOT, MeasureError, run

if TYPE_CHECKING:
    from pathlib import Path

CACHE = ROOT / ".venv" / "cache"
BYTES_A_PATIENT = 8 << 20  # about 4 MB of FHIR, CSV and RIF, and as much again for the lakes
BYTES_AT_LEAST = 2 << 30
# With RIF, Synthea counts people with Medicare alone until it has as many as asked for: of all ages, every 4.3rd (427 people for 100).
PEOPLE_FOR_EACH = 4.3
_UUID = re.compile(rb"([0-9a-f]{2})([0-9a-f]{6}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_WHO = ("DRIVERS", "PASSPORT", "FIRST", "MIDDLE", "LAST", "MAIDEN", "ADDRESS")
SENDERS = {"fhir": "fhir", "cms_rif": "bfd"}  # sender → Synthea's folder


def need_disk(patients: int) -> None:
    """Raises MeasureError when the disk of the cache has too little room."""
    CACHE.mkdir(parents=True, exist_ok=True)
    need, free = patients * BYTES_A_PATIENT + BYTES_AT_LEAST, shutil.disk_usage(CACHE).free
    if free < need:
        raise MeasureError(
            f"{patients} patients need about {need >> 30} GiB below {CACHE}, and {free >> 30} GiB are free: "
            "make room or give fewer --patients"
        )


def population(patients: int, seed: int) -> Path:
    """The folder of a population of about so many people, made when it is not there."""
    folder = CACHE / (f"population-{patients}" + (f"-seed-{seed}" if seed != 1 else ""))
    if (folder / ".complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run(
        [sys.executable, "-m", "carelake", "generate", "--out", str(folder), "--patients", str(max(1, round(patients / PEOPLE_FOR_EACH))), "--seed", str(seed)],
        folder / "generate.log",
    )  # fmt: skip
    (folder / ".complete").touch()
    return folder


def sources(folder: Path) -> dict[str, Path]:
    """Sender → folder of its files."""
    return {name: folder / sub for name, sub in SENDERS.items() if (folder / sub).is_dir()}


def some_people(csv_folder: Path, into: Path, people: int) -> Path:
    """Of Synthea's CSV the files of the first so many patients; those that are of no patient stay whole."""
    with (csv_folder / "patients.csv").open(newline="", encoding="utf-8") as text:
        kept = {row["Id"] for row, _ in zip(csv.DictReader(text), range(people), strict=False)}
    into.mkdir(parents=True)
    for file in sorted(csv_folder.glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as text, (into / file.name).open("w", newline="", encoding="utf-8") as out:  # fmt: skip
            rows, writer = csv.reader(text), csv.writer(out, lineterminator="\n")
            names = next(rows)
            whose = {"patients.csv": ["Id"]}.get(file.name, ["PATIENT", "PATIENTID"])
            place = next((names.index(w) for w in whose if w in names), None)
            writer.writerow(names)
            writer.writerows(row for row in rows if place is None or row[place] in kept)
    return into


def copied(csv_folder: Path, into: Path, copies: int) -> Path:
    """Synthea's CSV so many times over: each copy has other ids, and its people other numbers, names and streets, so that
    nobody is taken for their copy. The first copy is the original.
    """
    into.mkdir(parents=True)
    for file in sorted(csv_folder.glob("*.csv")):
        with (into / file.name).open("wb") as out:
            for nth in range(copies):
                ids = {b"%02x" % n: b"%02x" % (n ^ nth) for n in range(256)}
                with file.open("rb") as text:
                    header = text.readline()
                    if nth == 0:
                        out.write(header)
                    columns = header.decode().strip().split(",")
                    for line in text:
                        other = _UUID.sub(lambda m, ids=ids: ids[m[1]] + m[2], line)
                        out.write(
                            _someone_else(other, columns, nth) if file.name == "patients.csv" else other
                        )
    return into


def _someone_else(line: bytes, columns: list[str], nth: int) -> bytes:
    """A patient's row under other numbers, names and street: letters and digits so many places further."""
    letters = ascii_lowercase + ascii_uppercase
    moved = "".join(a[nth % 26 :] + a[: nth % 26] for a in (ascii_lowercase, ascii_uppercase))
    digits = "0123456789"[nth % 10 :] + "0123456789"[: nth % 10]
    table = str.maketrans(letters + "0123456789", moved + digits)
    values = dict(zip(columns, line.decode().rstrip("\n").split(","), strict=True))
    values |= {c: values[c].translate(table) for c in _WHO}
    values["SSN"] = f"{int(values['SSN'][:3]) - nth}{values['SSN'][3:]}"
    return (",".join(values.values()) + "\n").encode()
