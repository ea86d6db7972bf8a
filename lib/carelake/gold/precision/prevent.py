"""AHA PREVENT, base model: ten-year risk of total cardiovascular disease, of ASCVD, and of heart failure.

Khan SS et al., Development and validation of the American Heart Association's PREVENT equations, Circulation 2024; 149:430-49,
supplemental tables S12A (total CVD), S12B (ASCVD), S12C (heart failure): base model, ten years, by sex.
"""

from __future__ import annotations

AGES = (30, 79)
# Total cholesterol, HDL in mg/dL, systolic in mmHg, eGFR in mL/min/1.73 m2, BMI in kg/m2: the ranges of AHA's calculator.
RANGES = {
    "total_cholesterol": (130, 320),
    "hdl": (20, 100),
    "systolic": (90, 200),
    "egfr": (15, 140),
    "bmi": (18.5, 39.9),
}

# Each term as SQL of its inputs; the coefficients below follow this order.
TERMS = {
    "age": "{age}",
    "non_hdl": "{non_hdl}",
    "hdl": "{hdl}",
    "systolic_below_110": "{low_pressure}",
    "systolic_from_110": "{pressure}",
    "diabetes": "{diabetes}",
    "smoker": "{smoker}",
    "bmi_below_30": "{low_bmi}",
    "bmi_from_30": "{high_bmi}",
    "egfr_below_60": "{low_egfr}",
    "egfr_from_60": "{high_egfr}",
    "treated": "{treated}",
    "statin": "{statin}",
    "treated_systolic": "{treated} * {pressure}",
    "statin_non_hdl": "{statin} * {non_hdl}",
    "age_non_hdl": "{age} * {non_hdl}",
    "age_hdl": "{age} * {hdl}",
    "age_systolic": "{age} * {pressure}",
    "age_diabetes": "{age} * {diabetes}",
    "age_smoker": "{age} * {smoker}",
    "age_bmi_from_30": "{age} * {high_bmi}",
    "age_egfr_below_60": "{age} * {low_egfr}",
    "constant": "1",
}  # fmt: skip
_OUTCOMES = ("cvd", "ascvd", "heart_failure")
COEFFICIENTS = {
    ("cvd", "female"): (
        0.7939329, 0.0305239, -0.1606857, -0.2394003, 0.3600781, 0.8667604, 0.5360739, 0, 0, 0.6045917, 0.0433769, 0.3151672,
        -0.1477655, -0.0663612, 0.1197879, -0.0819715, 0.0306769, -0.0946348, -0.27057, -0.078715, 0, -0.1637806, -3.307728,
    ),
    ("cvd", "male"): (
        0.7688528, 0.0736174, -0.0954431, -0.4347345, 0.3362658, 0.7692857, 0.4386871, 0, 0, 0.5378979, 0.0164827, 0.288879,
        -0.1337349, -0.0475924, 0.150273, -0.0517874, 0.0191169, -0.1049477, -0.2251948, -0.0895067, 0, -0.1543702, -3.031168,
    ),
    ("ascvd", "female"): (
        0.719883, 0.1176967, -0.151185, -0.0835358, 0.3592852, 0.8348585, 0.4831078, 0, 0, 0.4864619, 0.0397779, 0.2265309,
        -0.0592374, -0.0395762, 0.0844423, -0.0567839, 0.0325692, -0.1035985, -0.2417542, -0.0791142, 0, -0.1671492, -3.819975,
    ),
    ("ascvd", "male"): (
        0.7099847, 0.1658663, -0.1144285, -0.2837212, 0.3239977, 0.7189597, 0.3956973, 0, 0, 0.3690075, 0.0203619, 0.2036522,
        -0.0865581, -0.0322916, 0.114563, -0.0300005, 0.0232747, -0.0927024, -0.2018525, -0.0970527, 0, -0.1217081, -3.500655,
    ),
    ("heart_failure", "female"): (
        0.8998235, 0, 0, -0.4559771, 0.3576505, 1.038346, 0.583916, -0.0072294, 0.2997706, 0.7451638, 0.0557087, 0.3534442,
        0, -0.0981511, 0, 0, 0, -0.0946663, -0.3581041, -0.1159453, -0.003878, -0.1884289, -4.310409,
    ),
    ("heart_failure", "male"): (
        0.8972642, 0, 0, -0.6811466, 0.3634461, 0.923776, 0.5023736, -0.0485841, 0.3726929, 0.6926917, 0.0251827, 0.2980922,
        0, -0.0497731, 0, 0, 0, -0.1289201, -0.3040924, -0.1401688, 0.0068126, -0.1797778, -3.946391,
    ),
}  # fmt: skip
_MMOL = 0.02586  # cholesterol, mg/dL to mmol/L


def prevent_10y_sql(
    outcome: str, *, female: str, age: str, total_cholesterol: str, hdl: str, systolic: str, diabetes: str, smoker: str, bmi: str,
    egfr: str, treated: str, statin: str,
) -> str:  # fmt: skip
    """SQL of the ten-year risk (0 to 1) of `outcome`: cvd, ascvd or heart_failure.

    Arguments are SQL: booleans, age in whole years, cholesterols in mg/dL, systolic pressure in mmHg, body mass index in kg/m2, eGFR
    (CKD-EPI 2021) in mL/min/1.73 m2, whether blood pressure is treated, whether a statin is taken. NULL outside ages 30 to 79, outside
    RANGES, or where an input of this outcome is unknown: the lipids are no input of heart failure, nor the body mass index of the others.
    """
    inputs = {
        "age": f"(({age} - 55) / 10D)",
        "non_hdl": f"(({total_cholesterol} - {hdl}) * {_MMOL}D - 3.5D)",
        "hdl": f"(({hdl} * {_MMOL}D - 1.3D) / 0.3D)",
        "low_pressure": f"((least({systolic}, 110) - 110) / 20D)",
        "pressure": f"((greatest({systolic}, 110) - 130) / 20D)",
        "low_bmi": f"((least({bmi}, 30) - 25) / 5D)",
        "high_bmi": f"((greatest({bmi}, 30) - 30) / 5D)",
        "low_egfr": f"((least({egfr}, 60) - 60) / -15D)",
        "high_egfr": f"((greatest({egfr}, 60) - 90) / -15D)",
        **{
            name: f"CAST({said} AS double)"
            for name, said in (
                ("diabetes", diabetes),
                ("smoker", smoker),
                ("treated", treated),
                ("statin", statin),
            )
        },
    }
    values = {
        "age": age, "total_cholesterol": total_cholesterol, "hdl": hdl, "systolic": systolic, "egfr": egfr, "bmi": bmi,
    }  # fmt: skip
    unasked = {"total_cholesterol", "hdl"} if outcome == "heart_failure" else {"bmi"}
    within = " AND ".join(
        f"{values[name]} BETWEEN {low} AND {high}"
        for name, (low, high) in {"age": AGES, **RANGES}.items()
        if name not in unasked
    )

    def risk(sex: str) -> str:
        weighed = " + ".join(
            f"({c!r}D) * {term.format(**inputs)}"
            for c, term in zip(COEFFICIENTS[outcome, sex], TERMS.values(), strict=True)
            if c
        )
        return f"1 / (1 + exp(-({weighed})))"

    return f"CASE WHEN NOT ({within}) THEN NULL WHEN {female} THEN {risk('female')} WHEN NOT {female} THEN {risk('male')} END"
