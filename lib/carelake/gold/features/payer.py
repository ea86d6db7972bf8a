"""Who paid for a person's care on the index date, as a word for the fairness audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyspark.sql.functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Of several the first counts: who has Medicaid beside Medicare is poor, which the audit is to see.
PAYERS = ("medicaid", "medicare", "private", "none")
_SAID = (
    "CASE WHEN lower(payer) RLIKE 'medicaid|dual[ _-]*eligible' THEN 'medicaid' WHEN lower(payer) RLIKE 'medicare' THEN 'medicare' "
    "WHEN lower(payer) RLIKE '^no[ _-]?insurance$|self[ _-]?pay|uninsured' THEN 'none' ELSE 'private' END"
)


def payer(asked: DataFrame, plans: DataFrame) -> DataFrame:
    """`payer`: medicaid, medicare, private, none by the plan that covered the day before the index date, by its payer's name.

    No row where no plan is known for that day: that is unknown, not none.
    """
    covering = asked.join(plans, "person_id", how="inner").where(
        "payer_plan_period_start_date < index_date AND payer_plan_period_end_date >= date_sub(index_date, 1)"
    )
    rank = f"array_position(array({', '.join(map(repr, PAYERS))}), payer)"
    return (
        covering.selectExpr("person_id", "index_date", "payer_source_value AS payer")
        .where("payer IS NOT NULL")
        .withColumn("payer", F.expr(_SAID))
        .groupBy("person_id", "index_date")
        .agg(F.expr(f"min_by(payer, {rank})").alias("payer"))
    )
