"""The quality gate: every check over the tables of a run, written to ops/check_result, and what of it stops a promotion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from carelake.core.config import Quality
from carelake.core.run import now
from carelake.quality import conservation, drift, results_file
from carelake.quality.dashboard import Measured, Result, judge, measure
from carelake.quality.published import rules
from carelake.quality.tally import Tally
from carelake.quality.violators import examples
from carelake.silver.conformed.claim import CLAIM
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.omop.cost import COST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame

    from carelake.core.lake import DeltaLake
    from carelake.core.runlog import RunLog
    from carelake.core.table import Table
    from carelake.quality.published import Rule

OMOP = "silver/omop/"


@dataclass(frozen=True)
class Checked:
    """All that was found: rows of ops/check_result, and the dashboard's results among them."""

    rows: list[dict[str, Any]]
    results: list[Result]

    def stopping(self, severities: Iterable[str]) -> list[dict[str, Any]]:
        """The failures of these severities; a check that could not be made is one. `own`: those that are not the dashboard's."""
        wanted = set(severities)
        failed = [r for r in self.rows if r["status"] in ("fail", "error")]
        return [
            r
            for r in failed
            if r["severity"] in wanted or ("own" in wanted and r["check_name"] in conservation.OWN)
        ]


def check(
    lake: DeltaLake,
    log: RunLog,
    tables: Iterable[Table],
    cdm: Iterable[Table] = (),
    site: Quality | None = None,
    *,
    publishes: bool = True,
    claims: bool = True,
) -> Checked:
    """Check tables: their keys, the ledger; with `cdm` (the tables of OMOP) the dashboard's checks, the money and the drift.

    Notes ops/check_result and, when the run `publishes` what it checks, ops/profile; writes the dashboard's results file.
    `claims`: costs are those of claims, which they have to equal; not so in a CDM that came as it is.
    A change of one OMOP table may break a reference of another, so `cdm` is all of them whatever the run wrote.
    """
    site = site or Quality()
    started = now()
    there = [t for t in tables if lake.version(t) >= 0]
    frames = {t.name.removeprefix(OMOP): lake.read(t) for t in cdm if lake.version(t) >= 0}
    tally = Tally(sizes=[lake.size(t) for t in {t.name: t for t in (*there, *cdm)}.values()])
    named = [(t, t.name.removeprefix(OMOP) if t.name.removeprefix(OMOP) in frames else t.name) for t in there]
    for t, name in named:
        tally.table(name, frames[name] if name in frames else lake.read(t))
    own = [conservation.ask_keys(named, tally), conservation.ask_ledger(lake, tally)]
    if frames and claims and all(lake.version(t) >= 0 for t in (CLAIM, PERSON_LINK, COST)):
        own.append(conservation.ask_money(lake.read(CLAIM), lake.read(PERSON_LINK), lake.read(COST), tally))
    source = frames["cdm_source"].limit(1).collect() if "cdm_source" in frames else []
    cdm_source = source[0].asDict() if source else {}
    results: list[Result] = []
    rows: list[dict[str, Any]] = []
    if frames:
        asked = rules(site, str(cdm_source.get("vocabulary_version") or ""))
        results, found = _dashboard(log, frames, asked, tally, site)
        rows += [_row(r) for r in results] + _drift(lake, log, found, site, publishes=publishes)
    else:
        tally.run()
    rows += [row for answer in own for row in answer()]
    if frames:
        text = results_file.document(results, cdm_source, started, now(), site.exempt)
        lake.storage.write_text(results_file.PLACE, text)
    full = [{"run_id": log.run_id, "concept_id": None, **r} for r in rows]
    log.check_results(full)
    return Checked(full, results)


def _dashboard(
    log: RunLog, frames: dict[str, DataFrame], asked: list[Rule], tally: Tally, site: Quality
) -> tuple[list[Result], Measured]:
    today = log.started_at.date()
    found = measure(frames, asked, today, site.exempt, tally)
    results = judge({name: f.columns for name, f in frames.items()}, asked, found)
    failed = [r.rule for r in results if r.status == "fail"]
    ids = examples(frames, failed, today, site.exempt) if failed else {}
    return [replace(r, examples=ids.get(r.rule.id, ())) for r in results], found


def _drift(
    lake: DeltaLake, log: RunLog, found: Measured, site: Quality, *, publishes: bool
) -> list[dict[str, Any]]:
    """Against the run published last; when what is checked is itself that run's, against the one before it."""
    seen = drift.profile(found)
    was = drift.earlier(lake, before=0 if publishes else 1)
    if publishes:
        log.profile(drift.rows_of(seen, log.run_id))
    return drift.compare(was, seen, site.drift) if was else []


def _row(result: Result) -> dict[str, Any]:
    """A row of ops/check_result. The dashboard's thresholds are percents, those of the table shares."""
    rule = result.rule
    one = rule.concepts[0] if len(rule.concepts) == 1 else None
    return {
        "check_name": rule.name, "level": rule.type.level.lower(), "table_name": f"{OMOP}{rule.table}", "field_name": rule.field,
        "concept_id": one, "unit_concept_id": int(rule.unit_concept_id) if rule.unit_concept_id else None,
        "rows_checked": result.about, "rows_violating": result.violating, "threshold": (rule.threshold or 0.0) / 100,
        "status": result.status, "severity": rule.type.severity, "check_id": rule.id,
        "examples": list(result.examples) or None, "note": result.reason or rule.note,
    }  # fmt: skip


def report(checked: Checked) -> list[str]:
    """The dashboard's summary, then each failure and warning with its numbers; no value of a record."""
    lines = results_file.summary(checked.results) if checked.results else []
    worst = ("fatal", "convention", "characterization", "drift")
    found = [r for r in checked.rows if r["status"] in ("fail", "error", "warn")]
    for r in sorted(found, key=lambda r: (worst.index(r["severity"]), r["check_id"])):
        where = ".".join(
            str(r[k]) for k in ("table_name", "field_name", "concept_id") if r.get(k) is not None
        )
        share = 100 * r["rows_violating"] / r["rows_checked"] if r["rows_checked"] else 0.0
        ids = f", such as {', '.join(map(str, r['examples']))}" if r.get("examples") else ""
        lines.append(
            f"{r['status']} {r['severity']} {r['check_name']} {where}: {r['rows_violating']} of {r['rows_checked']} "
            f"({share:.2f} %, threshold {100 * r['threshold']:g} %){ids}"
        )
    return lines
