"""What must not be lost on the way: records in the ledger, money from the claims to OMOP's cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from carelake.core.ops import LEDGER
from carelake.silver.omop.cost import COST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyspark.sql import DataFrame

    from carelake.core.lake import DeltaLake
    from carelake.core.table import Table
    from carelake.quality.tally import Tally

    Answer = Callable[[], list[dict[str, Any]]]  # rows of ops/check_result, when the tally has run

MONEY = "records of claims"
OWN = ("primary_key_unique", "ledger_balances", "cost_is_paid")  # all the checks that are asked here
AMOUNTS = {
    "paid_by_payer": "paid_by_payer",
    "charge": "total_charge",
    "allowed": "amount_allowed",
}  # of a claim, of its cost


def ask_ledger(lake: DeltaLake, tally: Tally) -> Answer:
    """Rows of the ledger whose outcomes do not add up to what came in."""
    outcome = "rows_written + rows_duplicate + rows_superseded + rows_excluded + rows_quarantined"
    tally.table(LEDGER.name, lake.read(LEDGER))
    tally.condition(LEDGER.name, f"rows_in <> {outcome}")
    n, off = LEDGER.name, f"rows_in <> {outcome}"
    return lambda: [result("ledger_balances", LEDGER, tally.rows(n), tally.held(n, off))]


def ask_money(claims: DataFrame, persons: DataFrame, costs: DataFrame, tally: Tally) -> Answer:
    """Records whose claims (of known persons) have other amounts in cents than their costs, of all that have either.

    A claim and its cost bear the same record, so no sum can hide a loss behind a gain elsewhere.
    """
    cents = "coalesce(cast(round({} * 100) AS bigint), 0L)"
    known = persons.selectExpr("source AS _source", "source_person_id").distinct()
    source = claims.join(known, on=["_source", "source_person_id"], how="left_semi").selectExpr(
        "_source", "_record", *[f"{cents.format(a)} AS {a}" for a in AMOUNTS]
    )
    target = costs.selectExpr(
        "_source", "_record", *[f"-{cents.format(c)} AS {a}" for a, c in AMOUNTS.items()]
    )
    by_record = (
        source.union(target)
        .groupBy("_source", "_record")
        .agg(*[F.expr(f"sum({a})").alias(a) for a in AMOUNTS])
    )
    off = " OR ".join(f"{a} <> 0" for a in AMOUNTS)
    tally.table(MONEY, by_record)
    tally.condition(MONEY, off)
    return lambda: [result("cost_is_paid", COST, tally.rows(MONEY), tally.held(MONEY, off))]


def ask_keys(tables: Iterable[tuple[Table, str]], tally: Tally) -> Answer:
    """Rows whose key comes again, by table; each is in the tally under the name beside it."""
    spaces = [(t, tally.own(name, t.key)) for t, name in tables]

    def answer() -> list[dict[str, Any]]:
        found = [(t, tally.keys(space)) for t, space in spaces]
        return [result("primary_key_unique", t, n.rows, n.rows - n.keys) for t, n in found]

    return answer


def result(check: str, table: Table, checked: int, violating: int) -> dict[str, Any]:
    """A row of ops/check_result for a check that no row may break."""
    return {
        "check_name": check, "level": "lake" if table is LEDGER else "table", "table_name": table.name, "field_name": None,
        "rows_checked": checked, "rows_violating": violating, "threshold": 0.0, "status": "fail" if violating else "pass",
        "severity": "fatal", "check_id": f"{check}_{table.name}",
    }  # fmt: skip
