"""ACC/AHA Pooled Cohort Equations: ten-year risk of a first hard ASCVD event.

Goff DC et al., 2013 ACC/AHA guideline on the assessment of cardiovascular risk, Circulation 2014; 129(suppl 2):S49-73, appendix 7,
table A: coefficients, mean of the individual sums, baseline survival. The table prints three decimals (of survival four); where
there are more here, they are those of the calculator that ACC and AHA published with it, which the table rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

AGES = (40, 79)
# Of total cholesterol, HDL (mg/dL) and systolic pressure (mmHg): what ACC's own calculator takes.
RANGES = {"total_cholesterol": (130, 320), "hdl": (20, 100), "systolic": (90, 200)}


@dataclass(frozen=True)
class Equation:
    """The coefficients of one sex and race; 0 where the paper has none. `by_age` multiply the logarithm of age."""

    mean: float
    survival: float
    age: float
    age_squared: float
    total_cholesterol: float
    total_cholesterol_by_age: float
    hdl: float
    hdl_by_age: float
    treated: float
    treated_by_age: float
    untreated: float
    untreated_by_age: float
    smoker: float
    smoker_by_age: float
    diabetes: float


WHITE_WOMAN = Equation(
    -29.1817,
    0.96652,
    -29.799,
    4.884,
    13.540,
    -3.114,
    -13.578,
    3.149,
    2.019,
    0,
    1.957,
    0,
    7.574,
    -1.665,
    0.661,
)
BLACK_WOMAN = Equation(
    86.6081,
    0.95334,
    17.1141,
    0,
    0.9396,
    0,
    -18.9196,
    4.4748,
    29.2907,
    -6.4321,
    27.8197,
    -6.0873,
    0.6908,
    0,
    0.8738,
)
WHITE_MAN = Equation(
    61.1816, 0.91436, 12.344, 0, 11.853, -2.664, -7.990, 1.769, 1.797, 0, 1.764, 0, 7.837, -1.795, 0.658
)
BLACK_MAN = Equation(19.5425, 0.89536, 2.469, 0, 0.302, 0, -0.307, 0, 1.916, 0, 1.809, 0, 0.549, 0, 0.645)  # fmt: skip


def _risk_sql(
    e: Equation,
    age: str,
    total_cholesterol: str,
    hdl: str,
    systolic: str,
    treated: str,
    smoker: str,
    diabetes: str,
) -> str:
    terms = f"""({e.age!r}D * ln({age}) + {e.age_squared!r}D * ln({age}) * ln({age})
        + ({e.total_cholesterol!r}D + {e.total_cholesterol_by_age!r}D * ln({age})) * ln({total_cholesterol})
        + ({e.hdl!r}D + {e.hdl_by_age!r}D * ln({age})) * ln({hdl})
        + CASE WHEN {treated} THEN {e.treated!r}D + {e.treated_by_age!r}D * ln({age})
          WHEN NOT {treated} THEN {e.untreated!r}D + {e.untreated_by_age!r}D * ln({age}) END * ln({systolic})
        + CASE WHEN {smoker} THEN {e.smoker!r}D + {e.smoker_by_age!r}D * ln({age}) WHEN NOT {smoker} THEN 0D END
        + CASE WHEN {diabetes} THEN {e.diabetes!r}D WHEN NOT {diabetes} THEN 0D END)"""
    return f"1 - power({e.survival!r}D, exp({terms} - ({e.mean!r}D)))"


def ascvd_10y_sql(
    *,
    female: str,
    black: str,
    age: str,
    total_cholesterol: str,
    hdl: str,
    systolic: str,
    treated: str,
    smoker: str,
    diabetes: str,
) -> str:
    """SQL of the ten-year risk (0 to 1) of a first myocardial infarction, coronary death or stroke.

    Arguments are SQL: booleans, age in whole years, cholesterols in mg/dL, systolic pressure in mmHg. Whoever is not black is asked by
    the equations for whites, as the guideline says. NULL outside ages 40 to 79, outside RANGES, or where one is unknown.
    """
    known = (age, total_cholesterol, hdl, systolic, treated, smoker, diabetes)
    within = " AND ".join(
        f"{value} BETWEEN {low} AND {high}"
        for value, (low, high) in zip(
            (age, total_cholesterol, hdl, systolic), (AGES, *RANGES.values()), strict=True
        )
    )
    return f"""CASE WHEN NOT ({within}) THEN NULL
        WHEN {female} AND {black} THEN {_risk_sql(BLACK_WOMAN, *known)}
        WHEN {female} THEN {_risk_sql(WHITE_WOMAN, *known)}
        WHEN NOT {female} AND {black} THEN {_risk_sql(BLACK_MAN, *known)}
        WHEN NOT {female} THEN {_risk_sql(WHITE_MAN, *known)} END"""
