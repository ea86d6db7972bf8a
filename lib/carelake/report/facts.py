"""What the report says, as small plain values gathered from gold and ops. No direct identifier of a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carelake.core.ops import CHECK_RESULT, FILE, LEDGER, QUARANTINE, SNAPSHOT
from carelake.gold.mapping_coverage import MAPPING_COVERAGE
from carelake.gold.unmapped_code import UNMAPPED_CODE
from carelake.scores.model_monitor import MODEL_MONITOR
from carelake.scores.risk_score import RISK_SCORE
from carelake.scores.worklist import WORKLIST
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.vocabulary import cdm_tables as v

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame

    from carelake.core.lake import DeltaLake
    from carelake.core.table import Table

Rows = list[dict[str, Any]]
_VOCABULARY = frozenset(
    t.name
    for t in (
        v.CONCEPT, v.CONCEPT_RELATIONSHIP, v.CONCEPT_ANCESTOR, v.CONCEPT_SYNONYM, v.VOCABULARY_TABLE, v.DOMAIN, v.CONCEPT_CLASS,
        v.RELATIONSHIP, v.DRUG_STRENGTH, v.SOURCE_TO_CONCEPT_MAP,
    )
)  # fmt: skip


@dataclass(frozen=True)
class GateFacts:
    """One gate of a model: its bound in words, the value that was measured (None: it could not be), whether it holds."""

    name: str
    rule: str
    value: float | None
    holds: bool


@dataclass(frozen=True)
class ModelFacts:
    """One model's version: its question, metrics, gates and plots (PNG bytes by name)."""

    name: str
    version: str
    target: str
    approved: bool
    metrics: dict[str, float]
    gates: list[GateFacts]
    plots: dict[str, bytes]
    card: str


@dataclass(frozen=True)
class Facts:
    """All that the page shows."""

    run_id: str
    published_at: str
    as_of: str
    synthetic: bool
    files: Rows
    ledger: Rows
    reasons: Rows
    links: Rows
    tables: Rows
    checks: Rows
    coverage: Rows
    unmapped: Rows
    worklist: Rows
    scored: int
    monitor: Rows = field(default_factory=list)
    models: list[ModelFacts] = field(default_factory=list)


def gather(
    lake: DeltaLake, omop: Iterable[Table], models: list[ModelFacts], *, as_of: str, synthetic: bool
) -> Facts:
    """Read what was published last."""
    snapshot = lake.read(SNAPSHOT)
    newest = snapshot.selectExpr(
        "max(run_id) AS run_id", "date_format(max(published_at), 'yyyy-MM-dd HH:mm') AS at"
    ).first()
    run_id, at = (newest["run_id"], newest["at"]) if newest else ("", "")
    return Facts(
        run_id=run_id or "", published_at=at or "", as_of=as_of, synthetic=synthetic,
        files=_rows(
            lake.read(FILE).where("status <> 'duplicate'").groupBy("source", "format", "status")
            .agg({"file": "count", "bytes": "sum", "units": "sum"})
            .selectExpr("source", "format", "status", "`count(file)` AS files", "`sum(bytes)` AS bytes", "`sum(units)` AS units")
            .orderBy("source", "status")
        ),
        ledger=_latest(lake.read(LEDGER)),
        reasons=_rows(
            _of_latest_run(lake.read(QUARANTINE)).groupBy("source", "kind", "stage", "severity", "reason", "rule")
            .agg({"n_records": "sum"}).withColumnRenamed("sum(n_records)", "records").orderBy("source", "kind", "stage", "rule")
        ),
        links=_rows(lake.read(PERSON_LINK).groupBy("source", "rule").count().orderBy("source", "rule")),
        tables=[
            {"table": t.name, "rows": lake.read(t).count(), "vocabulary": t.name in _VOCABULARY}
            for t in omop
            if lake.version(t) >= 0
        ],
        checks=_checks(lake.read(CHECK_RESULT)),
        coverage=_rows(lake.read(MAPPING_COVERAGE).orderBy("source", "domain_id", "vocabulary_id").drop("_run")),
        unmapped=_rows(lake.read(UNMAPPED_CODE).where("rank <= 25").orderBy("rank").drop("_run")),
        worklist=_rows(lake.read(WORKLIST).where("rank <= 25").orderBy("model", "rank").drop("_run")),
        scored=lake.read(RISK_SCORE).select("person_id").distinct().count(),
        monitor=_monitor(lake.read(MODEL_MONITOR)), models=models,
    )  # fmt: skip


def _rows(frame: DataFrame) -> Rows:
    return [r.asDict(recursive=True) for r in frame.collect()]


def _latest(ledger: DataFrame) -> Rows:
    """The newest ledger row of each sender, kind and stage that examined anything new."""
    newest = ledger.where("rows_in > rows_duplicate OR stage <> 'bronze'").groupBy("source", "kind", "stage")
    rows = newest.agg({"run_id": "max"}).withColumnRenamed("max(run_id)", "run_id")
    order = "CASE stage WHEN 'bronze' THEN 0 WHEN 'conformed' THEN 1 ELSE 2 END"
    return _rows(
        ledger.join(rows, ["source", "kind", "stage", "run_id"], how="inner")
        .selectExpr("*", f"{order} AS n")
        .orderBy("source", "kind", "n")
    )


def _checks(results: DataFrame) -> Rows:
    """The quality checks of the newest run that made any: how many by severity and status, and each that did not pass."""
    newest = results.agg({"run_id": "max"}).first()
    what = (
        "severity",
        "status",
        "check_name",
        "table_name",
        "field_name",
        "concept_id",
        "rows_violating",
        "rows_checked",
        "threshold",
    )
    shown = "CASE WHEN status IN ('pass', 'not_applicable') THEN NULL ELSE {0} END AS {0}"
    return _rows(
        results.where(f"run_id = '{newest[0] if newest else ''}'")
        .selectExpr("severity", "status", *[shown.format(c) for c in what[2:]])
        .groupBy(*what).count().orderBy(*what)
    )  # fmt: skip


def _monitor(watched: DataFrame) -> Rows:
    """Of the newest as-of date the scores, the outcomes of earlier scores, and every feature that is not ok."""
    newest = watched.agg({"as_of": "max"}).first()
    if not newest or newest[0] is None:
        return []
    shown = "subject IN ('score', 'outcome') OR status IN ('watch', 'alarm')"
    columns = ("model", "model_version", "subject", "index_date", "rows", "psi", "observed_expected", "observed_expected_lower",
               "observed_expected_upper", "status", "reason")  # fmt: skip
    return _rows(
        watched.where(f"as_of = DATE '{newest[0]}' AND ({shown})").select(*columns).orderBy("model", "model_version", "subject", "index_date")
    )  # fmt: skip


def _of_latest_run(quarantine: DataFrame) -> DataFrame:
    newest = (
        quarantine.groupBy("source", "kind", "stage")
        .agg({"run_id": "max"})
        .withColumnRenamed("max(run_id)", "run_id")
    )
    return quarantine.join(newest, ["source", "kind", "stage", "run_id"], how="inner")
