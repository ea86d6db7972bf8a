"""The ledgers of the conformed and omop stages: every input record has one outcome, and refused ones have a reason."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from carelake.bronze.table import bronze_table
from carelake.core.ops import QUARANTINE
from carelake.core.part import file_names
from carelake.silver.conformed.version import VERSION
from carelake.silver.link.tables import EVENT_LINK, PERSON_LINK

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from carelake.core.lake import DeltaLake
    from carelake.core.runlog import RunLog
    from carelake.core.step import Step
    from carelake.core.table import Table
    from carelake.silver.conformed.conform import Member

_PLACE = ("_source", "_kind", "_file", "_byte_offset", "_record_no", "_record")
_RECORD = ("_source", "_record")
_AS_QUARANTINE = (
    "_source AS source", "_kind AS kind", "_file AS file", "_byte_offset AS byte_offset", "_record_no AS record_no",
    "_record AS record_id",
)  # fmt: skip


def counting(members: list[Member]) -> dict[tuple[str, str], Table]:
    """For each (sender, kind) the contract by which the ledger counts its records."""
    return {(m.sender, k): x.into for m in members for x in m.source.mappings if x.counts for k in x.kinds}


def reject_conformed(
    lake: DeltaLake, log: RunLog, members: list[Member], step: Step, rejected: DataFrame
) -> None:
    """Quarantine rows of a contract's rejected rows: `quarantined` when nothing of the record was written, else `repaired`."""
    counted = sorted(f"{s}/{k}" for (s, k), c in counting(members).items() if c is step.writes)
    is_counted = f"concat(_source, '/', _kind) IN ({', '.join(map(repr, counted)) or 'NULL'})"
    written = lake.read(step.writes).select(*_RECORD).distinct().selectExpr("*", "true AS written")
    excluded = "_excluded" if "_excluded" in rejected.columns else "cast(NULL AS string) AS _excluded"
    # Written down, since it is asked for twice and each time would map the records anew.
    narrow = lake.keep(rejected.selectExpr(*_PLACE, "_reasons", excluded, f"{is_counted} AS counted"))
    judged = narrow.join(written, list(_RECORD), how="left").selectExpr(
        "*",
        "counted AND written IS NULL AS whole",
        f"count_if(_excluded IS NULL) OVER (PARTITION BY {', '.join(_RECORD)}) AS refused_parts",
    )
    bad = (
        judged.where("_excluded IS NULL")
        .selectExpr(*_PLACE, "whole", "explode(_reasons) AS why")
        .distinct()
        .selectExpr(
            *_AS_QUARANTINE, "'conformed' AS stage", "split(why, ':', 2)[0] AS reason", "split(why, ':', 2)[1] AS rule",
            "CASE WHEN whole THEN 'quarantined' ELSE 'repaired' END AS severity", "1 AS n_records",
        )
    )  # fmt: skip
    left_out = (
        judged.where("_excluded IS NOT NULL AND whole AND refused_parts = 0")
        .groupBy("_source", "_kind", "_file", "_excluded")
        .agg(F.expr("count(DISTINCT _record)").alias("n_records"))
        .selectExpr("_source AS source", "_kind AS kind", "_file AS file", "'conformed' AS stage", "_excluded AS rule",
                    "'excluded' AS severity", "n_records")
    )  # fmt: skip
    log.quarantine(bad.unionByName(left_out, allowMissingColumns=True))


def reject_later(log: RunLog, step: Step, rejected: DataFrame) -> None:
    """Quarantine rows of a table after the contracts: these rows were derived, the records that they come from stay."""
    stage = "gold" if step.name.startswith("gold/") else "omop"
    record = "_record" if "_record" in rejected.columns else "cast(NULL AS bigint) AS _record"
    source = "coalesce(_source, 'derived')" if "_source" in rejected.columns else "'derived'"
    rows = rejected.selectExpr(f"{source} AS source", record, "explode(_reasons) AS why").selectExpr(
        "source", f"'{step.name}' AS kind", f"'{stage}' AS stage", "_record AS record_id", "split(why, ':', 2)[0] AS reason",
        "split(why, ':', 2)[1] AS rule", "'repaired' AS severity", "1 AS n_records",
    )  # fmt: skip
    log.quarantine(rows)


def conformed_ledger(
    lake: DeltaLake, log: RunLog, members: list[Member], examined: DataFrame | None = None
) -> None:
    """Write the conformed stage's ledger, and the quarantine rows that no contract step could know.

    `examined`: the records that this run looked at (source, file, byte_offset, ingested_at, _record, mapped, path), in whose files of
    bronze alone it looks; without it all.
    """
    place = ["source", "file", "byte_offset", "ingested_at"]

    def seen(rows: DataFrame) -> DataFrame:
        return rows if examined is None else rows.join(examined.select(*place), place, how="left_semi")

    bronze = seen(_union([
        rows.where("problem IS NULL")
        .selectExpr(f"'{sender}' AS source", "kind", "file", "byte_offset", "record_no", "record_id", "ingested_at")
        for sender, rows in _bronze(lake, members, examined)
    ]))  # fmt: skip
    version = seen(lake.read(VERSION))
    conflicts = version.where("state = 'conflict'").selectExpr(
        "source", "kind", "file", "byte_offset", "record_no", "record_id", "'conformed' AS stage",
        "'R_CONFLICT_DUP' AS reason", "'same_version_other_content' AS rule", "'quarantined' AS severity", "1 AS n_records",
    )  # fmt: skip
    mapped = counting(members)
    pairs = _values(lake, [(s, k) for s, k in sorted(mapped)], "source string, kind string")
    beside = {(m.sender, k) for m in members for x in m.source.mappings for k in x.beside} - set(mapped)
    rule = "CASE WHEN concat(source, '/', kind) IN ({}) THEN 'reference_only' ELSE 'kind_not_mapped' END AS rule".format(
        ", ".join(f"'{s}/{k}'" for s, k in sorted(beside)) or "NULL"
    )
    not_mapped = (
        bronze.join(F.broadcast(pairs), ["source", "kind"], how="left_anti")
        .join(F.broadcast(version.select(*place)), place, how="left_anti")
        .groupBy("source", "kind", "file").agg(F.expr("count(*)").alias("n_records"))
        .selectExpr("source", "kind", "file", "'conformed' AS stage", rule, "'excluded' AS severity",
                    "n_records")
    )  # fmt: skip
    log.quarantine(conflicts.unionByName(not_mapped, allowMissingColumns=True))
    written = _written(lake, mapped)
    if examined is not None:
        keys = examined.where("mapped").selectExpr("source AS _source", "_record").distinct()
        written = written.join(keys, list(_RECORD), how="left_semi")
    outcomes = _outcomes(lake, log.run_id, "conformed")
    known = _counts(
        bronze.selectExpr("source", "kind", "'in' AS what"),
        version.where("state <> 'conflict'").selectExpr("source", "kind", "state AS what"),
        written.selectExpr("_source AS source", "_kind AS kind", "'written' AS what"),
    )
    lost = {k for k in known if _missing(known[k], outcomes.get(k, {}))}
    if lost:
        _quarantine_lost(lake, log, bronze, version, written, lost)
        outcomes = _outcomes(lake, log.run_id, "conformed")
    log.ledger_rows(
        [_row(log.run_id, key, "conformed", known[key], outcomes.get(key, {})) for key in sorted(known)]
    )


def _bronze(
    lake: DeltaLake, members: list[Member], examined: DataFrame | None
) -> list[tuple[str, DataFrame]]:
    """The bronze rows of each sender; with `examined` those of the files that hold an examined record."""
    tables = {m.sender: bronze_table(m.sender) for m in members}
    if examined is None:
        return [(s, lake.read(t)) for s, t in tables.items()]
    paths: dict[str, list[str]] = {s: [] for s in tables}
    for r in examined.select("source", "path").distinct().collect():
        paths[r["source"]].append(r["path"])
    return [(s, lake.read_files(t, sorted(file_names(t, paths[s])))) for s, t in tables.items()]


def _missing(known: dict[str, int], outcome: dict[str, int]) -> int:
    accounted = sum(known.get(w, 0) for w in ("written", "duplicate", "superseded")) + sum(outcome.values())
    return known.get("in", 0) - accounted


def _quarantine_lost(
    lake: DeltaLake,
    log: RunLog,
    bronze: DataFrame,
    version: DataFrame,
    written: DataFrame,
    lost: set[tuple[str, str]],
) -> None:
    """A record of which a mapping made no row and gave no reason is kept in quarantine, never lost."""
    place, record = ["source", "file", "byte_offset", "ingested_at"], ["source", "record_id"]
    refused = lake.read(QUARANTINE).where(
        f"run_id = '{log.run_id}' AND stage = 'conformed' AND severity = 'quarantined'"
    ).select(*record).distinct()  # fmt: skip
    rows = (
        bronze.join(F.broadcast(_values(lake, sorted(lost), "source string, kind string")), ["source", "kind"], how="left_semi")
        .join(version.select(*place), place, how="left_anti")
        .join(written.selectExpr("_source AS source", "_record AS record_id"), record, how="left_anti")
        .join(refused, record, how="left_anti")
        .selectExpr("source", "kind", "file", "byte_offset", "record_no", "record_id", "'conformed' AS stage",
                    "'R_SCHEMA' AS reason", "'mapping_made_no_row' AS rule", "'quarantined' AS severity", "1 AS n_records")
    )  # fmt: skip
    log.quarantine(rows)


def _written(lake: DeltaLake, mapped: dict[tuple[str, str], Table]) -> DataFrame:
    """One row per record of which its counting contract holds a row, of the versions that count."""
    by_contract: dict[str, tuple[Table, list[tuple[str, str]]]] = {}
    for key, contract in mapped.items():
        by_contract.setdefault(contract.name, (contract, []))[1].append(key)
    parts = []
    for contract, keys in by_contract.values():
        rows = lake.read(contract)
        if "is_latest" in contract.columns:
            rows = rows.where("is_latest")
        wanted = ", ".join(f"'{s}/{k}'" for s, k in keys)
        parts.append(
            rows.where(f"concat(_source, '/', _kind) IN ({wanted})")
            .select("_source", "_kind", "_record").distinct()
        )  # fmt: skip
    return _union(parts)


def omop_ledger(
    lake: DeltaLake,
    log: RunLog,
    members: list[Member],
    person: Table,
    people: DataFrame | None = None,
    examined: DataFrame | None = None,
) -> None:
    """Write the omop stage's ledger: of the conformed records those whose person is known are written, the others wait.

    `people` (source, source_person_id): whose records this run looked at, besides those that wait; `examined` (source,
    _record, mapped): which of the records that are of no person. Without them all.
    """
    mapped = counting(members)
    persons = lake.read(PERSON_LINK).join(lake.read(person).select("person_id"), "person_id", how="left_semi")
    known_people = persons.selectExpr("source AS _source", "source_person_id").distinct()
    contracts = {c.name: c for c in mapped.values()}
    records, waiting = [], []
    for contract in contracts.values():
        counted_here = ", ".join(
            f"'{s}/{k}'" for (s, k), c in sorted(mapped.items(), key=lambda i: i[0]) if c is contract
        )
        rows = lake.read(contract).where(f"concat(_source, '/', _kind) IN ({counted_here})")
        if "is_latest" in contract.columns:
            rows = rows.where("is_latest")
        if people is not None and examined is not None:
            rows = _looked_at(rows, contract, people, examined, known_people)
        records.append(rows.select(*_PLACE).distinct())
        if "source_person_id" in contract.columns and contract.name != "silver/conformed/enrollment":
            rule = "no_year_of_birth" if contract.name == "silver/conformed/patient" else "pending:person"
            reason = "R_SCHEMA" if rule == "no_year_of_birth" else "R_REF"
            unknown = rows.join(known_people, ["_source", "source_person_id"], how="left_anti")
            waiting.append(
                unknown.select(*_PLACE)
                .distinct()
                .selectExpr("*", f"'{reason}' AS reason", f"'{rule}' AS rule")
            )
    keys = _values(lake, sorted(mapped), "_source string, _kind string")
    counted = _union(records).join(F.broadcast(keys), ["_source", "_kind"], how="left_semi").distinct()
    if waiting:  # in a CDM that was brought nothing waits: a row without its person was refused before
        late = _union(waiting).join(F.broadcast(keys), ["_source", "_kind"], how="left_semi")
        log.quarantine(late.selectExpr(*_AS_QUARANTINE, "'omop' AS stage", "reason", "rule", "'quarantined' AS severity",
                                       "1 AS n_records"))  # fmt: skip
    _release(lake, log)
    # Few events are left out: those first, then what else is of the same records, sooner than all events by record.
    events = lake.read(EVENT_LINK).select("_record", "excluded")
    out = events.where("excluded IS NOT NULL").groupBy("_record").agg(F.expr("min(excluded)").alias("rule"))
    kept = events.where("excluded IS NULL").join(out.select("_record"), "_record", how="left_semi")
    fulfilled = out.join(kept, "_record", how="left_anti")
    left_out = (
        counted.join(fulfilled, "_record", how="inner").groupBy("_source", "_kind", "_file", "rule")
        .agg(F.expr("count(*)").alias("n_records"))
        .selectExpr("_source AS source", "_kind AS kind", "_file AS file", "'omop' AS stage", "rule",
                    "'excluded' AS severity", "n_records")
    )  # fmt: skip
    log.quarantine(left_out)
    known = _counts(counted.selectExpr("_source AS source", "_kind AS kind", "'in' AS what"))
    outcomes = _outcomes(lake, log.run_id, "omop")
    for key, counts in known.items():
        counts["written"] = counts["in"] - sum(outcomes.get(key, {}).values())
    log.ledger_rows(
        [_row(log.run_id, key, "omop", known[key], outcomes.get(key, {})) for key in sorted(known)]
    )


def _looked_at(
    rows: DataFrame, contract: Table, people: DataFrame, examined: DataFrame, known: DataFrame
) -> DataFrame:
    """Rows of these people and of people not known yet; of a contract without people those examined."""
    if "source_person_id" not in contract.columns or contract.name == "silver/conformed/enrollment":
        ids = examined.where("mapped").selectExpr("source AS _source", "_record").distinct()
        return rows.join(ids, ["_source", "_record"], how="left_semi")
    key = ["_source", "source_person_id"]
    theirs = people.selectExpr("source AS _source", "source_person_id", "true AS _theirs")
    told = known.selectExpr(*key, "true AS _known")
    marked = rows.join(theirs, key, how="left").join(told, key, how="left")
    return marked.where("_theirs OR _known IS NULL").drop("_theirs", "_known")


def _release(lake: DeltaLake, log: RunLog) -> None:
    """A record that waited in an earlier run and does not in this one is released."""
    place = ["source", "file", "byte_offset", "record_id"]
    waits = lake.read(QUARANTINE).where("rule LIKE 'pending:%'")
    earlier = waits.where(f"run_id <> '{log.run_id}'")
    newest = earlier.groupBy(*place).agg(F.expr("max_by(severity, run_id)").alias("last"))
    still = waits.where(f"run_id = '{log.run_id}' AND severity = 'quarantined'").select(*place)
    freed = (
        earlier.where("severity = 'quarantined'")
        .join(newest.where("last = 'quarantined'"), place, how="left_semi")
        .join(still, place, how="left_anti")
        .groupBy(*place, "kind", "record_no", "reason", "rule").agg(F.expr("1").alias("n_records"))
        .selectExpr("*", "'omop' AS stage", "'released' AS severity")
    )  # fmt: skip
    log.quarantine(freed)


def _outcomes(lake: DeltaLake, run_id: str, stage: str) -> dict[tuple[str, str], dict[str, int]]:
    rows = (
        lake.read(QUARANTINE).where(f"run_id = '{run_id}' AND stage = '{stage}'")
        .groupBy("source", "kind")
        .agg(
            F.expr("count(DISTINCT CASE WHEN severity = 'quarantined' THEN struct(file, byte_offset, record_id) END)").alias("quarantined"),
            F.expr("coalesce(sum(CASE WHEN severity = 'excluded' THEN n_records END), 0)").alias("excluded"),
        )
        .collect()
    )  # fmt: skip
    return {(r["source"], r["kind"]): {w: int(r[w]) for w in ("quarantined", "excluded")} for r in rows}


def _counts(*parts: DataFrame) -> dict[tuple[str, str], dict[str, int]]:
    out: dict[tuple[str, str], dict[str, int]] = {}
    for r in _union(list(parts)).groupBy("source", "kind", "what").count().collect():
        out.setdefault((r["source"], r["kind"]), {})[r["what"]] = int(r["count"])
    return out


def _row(
    run_id: str, key: tuple[str, str], stage: str, known: dict[str, int], outcome: dict[str, int]
) -> dict[str, Any]:
    return {
        "run_id": run_id, "source": key[0], "kind": key[1], "stage": stage, "rows_in": known.get("in", 0),
        "rows_written": known.get("written", 0), "rows_duplicate": known.get("duplicate", 0),
        "rows_superseded": known.get("superseded", 0), "rows_excluded": outcome.get("excluded", 0),
        "rows_quarantined": outcome.get("quarantined", 0),
    }  # fmt: skip


def _values(lake: DeltaLake, rows: list[tuple[str, str]], ddl: str) -> DataFrame:
    return lake.spark.createDataFrame(rows, ddl)


def _union(frames: list[DataFrame]) -> DataFrame:
    return reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)
