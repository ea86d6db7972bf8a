"""Units as senders write them → UCUM codes, to be looked up in code_map under the vocabulary UCUM.

UCUM is case-sensitive (`mm` is a length, `Mm` another one), so a code is kept as it is. Only spellings that are no
UCUM, or that UCUM gives a meaning which no laboratory intends (`K/uL` is kelvin per microlitre), are replaced; those
are compared without case and blanks. Spellings of UCUM itself that OMOP writes in another way (`U/L` is `[U]/L`) are
not here: they are a map of the vocabulary, source_to_concept_map `ucum_spelling`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VOCABULARY = "UCUM"

COMMON: Mapping[str, str] = MappingProxyType({
    "mmhg": "mm[Hg]", "mmofhg": "mm[Hg]", "cmh2o": "cm[H2O]", "inches": "[in_i]", "inch": "[in_i]", "in": "[in_i]",
    "ft": "[ft_i]", "feet": "[ft_i]", "lb": "[lb_av]", "lbs": "[lb_av]", "pounds": "[lb_av]", "pound": "[lb_av]",
    "oz": "[oz_av]", "ounces": "[oz_av]", "kgs": "kg", "kilograms": "kg", "grams": "g", "miles": "[mi_i]",
    "mi": "[mi_i]", "degc": "Cel", "°c": "Cel", "celsius": "Cel", "degf": "[degF]", "°f": "[degF]",
    "fahrenheit": "[degF]", "bpm": "/min", "beats/min": "/min", "beats/minute": "/min", "count/min": "/min",
    "breaths/min": "/min", "breaths/minute": "/min", "permin": "/min", "percent": "%", "pct": "%", "yr": "a",
    "yrs": "a", "years": "a", "year": "a", "months": "mo", "month": "mo", "weeks": "wk", "week": "wk", "days": "d",
    "day": "d", "hrs": "h", "hours": "h", "hour": "h", "hr": "h", "minutes": "min", "minute": "min", "mins": "min",
    "sec": "s", "secs": "s", "seconds": "s", "steps": "{steps}", "count": "{count}", "score": "{score}",
    "ratio": "{ratio}", "index": "{index}", "kcal": "kcal", "kilocalories": "kcal",
    "k/ul": "10*3/uL", "thou/ul": "10*3/uL", "10^3/ul": "10*3/uL", "x10^3/ul": "10*3/uL", "10e3/ul": "10*3/uL",
    "th/mm3": "10*3/uL", "10*3/mm3": "10*3/uL", "10^9/l": "10*9/L", "x10^9/l": "10*9/L", "10e9/l": "10*9/L",
    "m/ul": "10*6/uL", "mil/ul": "10*6/uL", "10^6/ul": "10*6/uL", "x10^6/ul": "10*6/uL", "10^12/l": "10*12/L",
    "mcg": "ug", "µg": "ug", "μg": "ug", "mcg/l": "ug/L", "mcg/dl": "ug/dL", "mcg/ml": "ug/mL", "µg/l": "ug/L",
    "µg/dl": "ug/dL", "µg/ml": "ug/mL", "µmol/l": "umol/L", "μmol/l": "umol/L", "mmol/l": "mmol/L", "mg/dl": "mg/dL",
    "gm/dl": "g/dL", "g/dl": "g/dL", "gm/l": "g/L", "meq/l": "meq/L", "miu/l": "m[IU]/L", "miu/ml": "m[IU]/mL",
    "uiu/ml": "u[IU]/mL", "µiu/ml": "u[IU]/mL", "iu/l": "[IU]/L", "iu/ml": "[IU]/mL", "iu": "[IU]", "units/l": "U/L",
    "unit/l": "U/L", "u/l": "U/L", "units": "U", "ml/min/1.73m2": "mL/min/{1.73_m2}",
    "ml/min/1.73m^2": "mL/min/{1.73_m2}", "ml/min/1.73m²": "mL/min/{1.73_m2}", "ml/min/{1.73_m2}": "mL/min/{1.73_m2}",
    "kg/m^2": "kg/m2", "kg/m²": "kg/m2", "kg/m2": "kg/m2", "inr": "{INR}", "phunits": "[pH]", "/hpf": "/[HPF]",
})  # fmt: skip


def ucum_sql(unit_sql: str) -> str:
    """SQL of the UCUM code that a unit means, code or text; what is not in the list is kept, trimmed; NULL when empty."""
    pairs = ", ".join(f"'{written}', '{code}'" for written, code in COMMON.items())
    key = f"regexp_replace(lower(trim({unit_sql})), ' +', '')"
    return f"nullif(coalesce(try_element_at(map({pairs}), {key}), trim({unit_sql})), '')"
