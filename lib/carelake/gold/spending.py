"""What was paid for whom on which day."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

# cost_domain_id: id and date of the event that the cost belongs to
EVENTS = {
    "Visit": ("visit_occurrence_id", "visit_start_date"),
    "Drug": ("drug_exposure_id", "drug_exposure_start_date"),
    "Device": ("device_exposure_id", "device_exposure_start_date"),
    "Procedure": ("procedure_occurrence_id", "procedure_date"),
}


def spending(costs: DataFrame, tables: Mapping[str, DataFrame]) -> DataFrame:
    """One row per person and day: person_id, date, amount (currency units): what was paid, else allowed, else charged.

    CDM v5.4 COST has no date: it is that of its event, of which `tables` gives the OMOP table by cost_domain_id. A cost without an event there
    has no day and is left out.
    """
    days = [
        tables[domain].selectExpr(f"'{domain}' AS cost_domain_id", f"{key} AS cost_event_id", "person_id", f"{day} AS date")
        for domain, (key, day) in EVENTS.items()
        if domain in tables
    ]  # fmt: skip
    return (
        costs.selectExpr("cost_domain_id", "cost_event_id", "coalesce(total_paid, amount_allowed, total_charge) AS amount")
        .where("amount IS NOT NULL")
        .join(reduce(lambda a, b: a.unionByName(b), days), ["cost_domain_id", "cost_event_id"], how="inner")
        .groupBy("person_id", "date")
        .agg(F.sum(F.col("amount").cast("double")).alias("amount"))
    )  # fmt: skip
