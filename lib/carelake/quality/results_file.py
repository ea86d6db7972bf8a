"""The dashboard's results file, as OHDSI/DataQualityDashboard writes it, so that its viewer opens it; and its summary as text."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from carelake import __version__
from carelake.quality.published import DQD_VERSION
from carelake.quality.violators import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from carelake.core.config import Exemption
    from carelake.quality.dashboard import Result

PLACE = "report/dqd.json"
CATEGORIES = ("Plausibility", "Conformance", "Completeness")
CONTEXTS = ("Verification", "Validation")


def document(
    results: Sequence[Result],
    source: Mapping[str, Any],
    started: datetime,
    ended: datetime,
    exempt: Sequence[Exemption] = (),
) -> str:
    """The file's text. `source` is the row of cdm_source; single values stand in lists, as R writes them. No value of a record."""
    seconds = (ended - started).total_seconds()
    metadata = {_camel(k): str(v) for k, v in source.items() if v is not None and not k.startswith("_")}
    whole = {
        "startTimestamp": [f"{started:%Y-%m-%d %H:%M:%S}"],
        "endTimestamp": [f"{ended:%Y-%m-%d %H:%M:%S}"],
        "executionTime": [f"{seconds:.0f} secs"],
        "executionTimeSeconds": [round(seconds, 3)],
        "CheckResults": [_row(r, started, exempt) for r in results],
        "Metadata": [metadata | {"dqdVersion": f"{DQD_VERSION} (checks of), run by carelake {__version__}"}],
        "Overview": {k: [v] for k, v in overview(results).items()},
    }
    return json.dumps(whole, indent=1)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(w.capitalize() for w in rest)


def _row(result: Result, started: datetime, exempt: Sequence[Exemption]) -> dict[str, Any]:
    rule, kind = result.rule, result.rule.type
    row = {
        "numViolatedRows": result.violating,
        "pctViolatedRows": round(result.share, 6),
        "numDenominatorRows": result.about,
        "executionTime": f"{result.seconds:.6f} secs",
        "queryText": shown(rule, started.date(), exempt),
        "checkName": rule.name,
        "checkLevel": kind.level,
        "checkDescription": rule.description,
        "cdmTableName": rule.table.upper(),
        "cdmFieldName": rule.field.upper() if rule.field else None,
        "conceptId": rule.concept_id,
        "unitConceptId": rule.unit_concept_id,
        "sqlFile": kind.sql_file,
        "category": kind.category,
        "subcategory": kind.subcategory or None,
        "context": kind.context,
        "checkId": rule.id,
        "failed": int(result.status == "fail"),
        "passed": int(result.status == "pass"),
        "isError": int(result.status == "error"),
        "notApplicable": int(result.status == "not_applicable"),
        "notApplicableReason": result.reason if result.status == "not_applicable" else None,
        "error": result.reason if result.status == "error" else None,
        "thresholdValue": rule.threshold,
        "notesValue": rule.note,
    }
    return {k: v for k, v in row.items() if v is not None}


def overview(results: Iterable[Result]) -> dict[str, float]:
    """The dashboard's counts. As there, what is not applicable is among the passed of `countPassed`."""
    by = Counter((r.rule.type.category, r.status) for r in results)
    total = sum(by.values())
    failed, errors = (sum(n for (_, s), n in by.items() if s == status) for status in ("fail", "error"))
    found: dict[str, float] = {
        "countTotal": total, "countPassed": total - failed, "countErrorFailed": errors, "countThresholdFailed": failed,
        "countOverallFailed": failed, "percentPassed": round(100 * (total - failed) / total, 2) if total else 0.0,
        "percentFailed": round(100 * failed / total, 2) if total else 0.0,
    }  # fmt: skip
    for c in CATEGORIES:
        found[f"countTotal{c}"] = sum(n for (k, _), n in by.items() if k == c)
    for c in CATEGORIES:
        found[f"countFailed{c}"] = by[c, "fail"]
    for c in CATEGORIES:
        found[f"countPassed{c}"] = by[c, "pass"]
    return found


def summary(results: Sequence[Result]) -> list[str]:
    """The dashboard's first page as lines: passed (with those not applicable, as there), failed and total by category and context."""
    heads = [f"{c:>12} pass  fail total" for c in (*CONTEXTS, "Total")]
    lines = ["             " + " ".join(heads)]
    for category in (*CATEGORIES, "Total"):
        cells = []
        for context in (*CONTEXTS, "Total"):
            some = [
                r.status
                for r in results
                if category in (r.rule.type.category, "Total") and context in (r.rule.type.context, "Total")
            ]
            failed = some.count("fail") + some.count("error")
            cells.append(f"{len(some) - failed:>17} {failed:>5} {len(some):>5}")
        lines.append(f"{category:<13}" + " ".join(cells))
    idle = sum(r.status == "not_applicable" for r in results)
    return [
        *lines,
        f"{idle} of the passed are not applicable: an empty table or field, or a concept that does not occur",
    ]
