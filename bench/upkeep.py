"""python -m bench.upkeep [--landings 200]: what `maintain` gains on a lake that grew by many small landings.

The five people to gold, then a new weight of one of them a landing, each a run of its own (in one session, so that two
hundred take minutes), then silver. From there two copies of the lake: one as it is, the other after `maintain` that keeps
no old version. On each, cold: a run with nothing new, and a run with one more weight.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import sys
import tempfile
from pathlib import Path

from bench.process import ROOT, run

FIVE = ROOT / "tests" / "fixtures" / "five_people"
THRIFTY = "maintain: {retain_days: 0}\n"


def _weight(n: int, patient: str) -> str:
    """A weight of a patient as FHIR, the nth."""
    return json.dumps({
        "resourceType": "Observation", "id": f"bench-{n}", "meta": {"lastUpdated": f"2024-08-31T{n // 60:02d}:{n % 60:02d}:00Z"},
        "status": "final", "category": [{"coding": [{"code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}, "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": f"2024-08-30T{n // 60:02d}:{n % 60:02d}:00Z",
        "valueQuantity": {"value": 60 + n % 40, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    }) + "\n"  # fmt: skip


def _patient() -> str:
    """The id of the first of the five."""
    with gzip.open(FIVE / "fhir" / "Patient.ndjson.gz", "rt", encoding="utf-8") as lines:
        return str(json.loads(next(iter(lines)))["id"])


def land(lake: str, folder: str) -> None:
    """Each file of the folder landed by a run of its own."""
    from carelake import app
    from carelake.core import config
    from carelake.core.session import start
    from carelake.jobs import perform

    known = config.load("local")
    with tempfile.TemporaryDirectory() as scratch:
        session = start("bench", scratch)
        for file in sorted(Path(folder).iterdir()):
            options = app.parser("to_bronze").parse_args(["--lake", lake, "--source", f"fhir={file}"])
            given = tuple(app._given(text, known) for text in options.source)
            perform("to_bronze", options, known, given, lake, session, {})
        session.stop()


def _size(lake: Path, *below: str) -> tuple[int, int]:
    """Files and bytes of a lake, or of folders below it; Hadoop's checksums are no files of their own."""
    files = [
        f for b in below or ("",) for f in (lake / b).rglob("*") if f.is_file() and not f.name.startswith(".")
    ]
    return len(files), sum(f.stat().st_size for f in files)


def main(argv: list[str]) -> int:
    """Measure and print rows of a table."""
    if argv[:1] == ["land"]:
        land(*argv[1:])
        return 0
    p = argparse.ArgumentParser(prog="python -m bench.upkeep", description=__doc__)
    p.add_argument("--landings", type=int, default=200)
    landings: int = p.parse_args(argv).landings
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        scratch = Path(name)
        lake, kept, log = scratch / "lake", scratch / "kept", scratch / "log"
        thrifty, more = scratch / "thrifty.yaml", scratch / "Observation-more.ndjson"
        thrifty.write_text(THRIFTY, encoding="utf-8")
        (scratch / "days").mkdir()
        for n in range(landings):
            (scratch / "days" / f"Observation-{n:04d}.ndjson").write_text(
                _weight(n, _patient()), encoding="utf-8"
            )
        more.write_text(_weight(landings, _patient()), encoding="utf-8")

        def job(job: str, where: Path, *rest: str) -> str:
            done = run([sys.executable, "-m", "carelake", job, "--lake", str(where), *rest], log)
            print(f"{job} {' '.join(rest)}: {done.seconds:.1f} s", file=sys.stderr, flush=True)
            return f"{done.seconds:.1f} / {done.cpu:.1f}"

        sources = [
            x for s in ("fhir", "cms_rif", "fitbit", "enrollment") for x in ("--source", f"{s}={FIVE / s}")
        ]
        job("pipeline", lake, *sources, "--until", "gold")
        run([sys.executable, "-m", "bench.upkeep", "land", str(lake), str(scratch / "days")], log)
        job("to_silver", lake)
        job("to_gold", lake)
        shutil.copytree(lake, kept)
        took = job("maintain", kept, "--env", str(thrifty))
        print(log.read_text(encoding="utf-8"), file=sys.stderr)
        print(
            f"| {landings} landings | files of the lake | MiB | files of bronze and ops | nothing new, wall / CPU s | one more weight, to silver |"
        )
        print("|---|---|---|---|---|---|")
        for what, where in (("as it grew", lake), (f"after maintain ({took} s)", kept)):
            files, size = _size(where)
            small, _ = _size(where, "bronze", "ops")
            idle = job("to_silver", where)
            one = job("pipeline", where, "--source", f"fhir={more}", "--until", "silver")
            print(f"| {what} | {files} | {size / 2**20:.0f} | {small} | {idle} | {one} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
