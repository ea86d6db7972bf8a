"""gold/clinical_score: published risk scores of each person on the as-of day, or why one cannot be computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyspark.sql.functions as F

from carelake.core.step import AS_OF, step
from carelake.core.table import Check, Field, OnFail, Table
from carelake.gold.features.person_features import PERSON_FEATURES
from carelake.gold.precision import pooled_cohort_equations, prevent
from carelake.gold.precision.pooled_cohort_equations import ascvd_10y_sql
from carelake.gold.precision.prevent import prevent_10y_sql

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from pyspark.sql import DataFrame

CLINICAL_SCORE = Table(
    name="gold/clinical_score",
    doc="One row per person asked about on the as-of day and published score: the risk, or the first reason why there is none. "
    "Inputs are those of gold/person_features on that day: last values of three years, drugs of the last year. Treated is "
    "whoever took a drug that lowers blood pressure, whatever it was given for. The scores were made for people without the disease that "
    "they predict, so whoever has it gets a reason.",
    fields=(
        Field("person_id", "bigint", "The person", required=True, references="person.person_id"),
        Field("index_date", "date", "The as-of day; inputs are from before it", required=True),
        Field("score_name", "string", "ascvd_pce_10y, prevent_cvd_10y, prevent_ascvd_10y, prevent_heart_failure_10y", required=True),
        Field("value", "double", "Risk within ten years, 0 to 1; NULL where it cannot be computed"),
        Field("reason", "string", "Why there is no value: unknown … or … out of range or prior disease; NULL where there is one"),
    ),
    key=("person_id", "score_name"),
    checks=(
        Check("value_or_reason", "(value IS NULL) = (reason IS NOT NULL)", on_fail=OnFail.STOP),
        Check("value_is_a_risk", "value BETWEEN 0 AND 1", on_fail=OnFail.STOP),
    ),
    cluster_by=("person_id",),
)  # fmt: skip

_ANTIHYPERTENSIVES = ("ace_or_arb", "beta_blocker", "calcium_channel_blocker", "diuretic")
# The scores' inputs as SQL over person_features.
_INPUTS = {
    "female": "female = 1",
    "black": "race = 'black'",
    "age": "floor(age_years)",
    "total_cholesterol": "last_total_cholesterol",
    "hdl": "last_hdl",
    "systolic": "last_systolic",
    "egfr": "last_egfr",
    "bmi": "last_bmi",
    "diabetes": "has_diabetes = 1",
    "smoker": "CASE smoking WHEN 'unknown' THEN NULL ELSE smoking = 'current' END",
    "treated": " OR ".join(f"took_{d}_1y = 1" for d in _ANTIHYPERTENSIVES),
    "statin": "took_statin_1y = 1",
}
_PRIOR_ASCVD = "has_coronary_disease = 1 OR has_stroke = 1"
_PRIOR_CVD = f"{_PRIOR_ASCVD} OR has_heart_failure = 1"


@dataclass(frozen=True)
class ClinicalScore:
    """A published score: its SQL over the columns named as its inputs, whom it leaves out, and the ranges it was made for."""

    name: str
    inputs: tuple[str, ...]
    value: str
    prior_disease: str
    ranges: Mapping[str, tuple[float, float]]

    @property
    def reason(self) -> str:
        """SQL of the first reason why the value is unknown; NULL when it is not."""
        said = [(f"`prior_{self.name}`", "'prior cardiovascular disease'")]
        said += [(f"`{i}` IS NULL", f"'unknown {i}'") for i in self.inputs]
        said += [
            (f"`{i}` NOT BETWEEN {low} AND {high}", f"'{i} out of range {low} to {high}'")
            for i, (low, high) in self.ranges.items()
            if i in self.inputs
        ]
        return f"CASE {' '.join(f'WHEN {holds} THEN {text}' for holds, text in said)} END"


_PCE = ("age", "female", "total_cholesterol", "hdl", "systolic", "treated", "smoker", "diabetes", "black")
_LIPIDS = ("total_cholesterol", "hdl")


def _prevent(outcome: str, columns: Mapping[str, str]) -> ClinicalScore:
    unasked = (*_LIPIDS, "statin") if outcome == "heart_failure" else ("bmi",)
    return ClinicalScore(
        name=f"prevent_{outcome}_10y",
        inputs=tuple(c for c in columns if c not in unasked),
        value=prevent_10y_sql(outcome, **columns),
        prior_disease=_PRIOR_CVD,
        ranges={"age": prevent.AGES, **prevent.RANGES},
    )


_PREVENT = {
    c: f"`{c}`"
    for c in ("age", "female", *_LIPIDS, "systolic", "egfr", "bmi", "diabetes", "smoker", "treated", "statin")
}
SCORES = (
    ClinicalScore(
        name="ascvd_pce_10y",
        inputs=_PCE,
        value=ascvd_10y_sql(**{c: f"`{c}`" for c in _PCE}),
        prior_disease=_PRIOR_ASCVD,
        ranges={"age": pooled_cohort_equations.AGES, **pooled_cohort_equations.RANGES},
    ),
    *(_prevent(outcome, _PREVENT) for outcome in ("cvd", "ascvd", "heart_failure")),
)


@step(writes=CLINICAL_SCORE, features=PERSON_FEATURES, as_of=AS_OF)
def clinical_score(features: DataFrame, as_of: date) -> DataFrame:
    """Each score of each person whose features of the as-of day are there."""
    known = features.where(F.col("index_date") == F.lit(as_of)).selectExpr(
        "person_id", "index_date", *[f"{sql} AS `{name}`" for name, sql in _INPUTS.items()],
        *[f"coalesce({s.prior_disease}, false) AS `prior_{s.name}`" for s in SCORES],
    )  # fmt: skip
    rows = ", ".join(
        f"struct('{s.name}' AS score_name, {s.value} AS value, {s.reason} AS reason)" for s in SCORES
    )
    return known.selectExpr("person_id", "index_date", f"inline(array({rows}))").selectExpr(
        "person_id", "index_date", "score_name", "CASE WHEN reason IS NULL THEN value END AS value", "reason"
    )
