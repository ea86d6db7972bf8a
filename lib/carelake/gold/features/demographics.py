"""Who a person is: age, sex, race and ethnicity on the index date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.silver.vocabulary import structural as v

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def demographics(asked: DataFrame, people: DataFrame) -> DataFrame:
    """Age in years, and sex, race and ethnicity as words."""
    born = "make_date(year_of_birth, coalesce(month_of_birth, 7), coalesce(day_of_birth, 1))"
    return asked.join(people, "person_id", how="inner").selectExpr(
        "person_id", "index_date",
        f"round(months_between(index_date, coalesce(cast(birth_datetime AS date), {born})) / 12, 2) AS age_years",
        f"CASE gender_concept_id WHEN {v.GENDER_FEMALE} THEN 1D WHEN {v.GENDER_MALE} THEN 0D END AS female",
        f"CASE gender_concept_id WHEN {v.GENDER_FEMALE} THEN 'female' WHEN {v.GENDER_MALE} THEN 'male' ELSE 'unknown' END AS sex",
        f"CASE race_concept_id WHEN {v.RACE_WHITE} THEN 'white' WHEN {v.RACE_BLACK} THEN 'black' "
        f"WHEN {v.RACE_ASIAN} THEN 'asian' WHEN 0 THEN 'unknown' ELSE 'other' END AS race",
        f"CASE ethnicity_concept_id WHEN {v.ETHNICITY_HISPANIC} THEN 'hispanic' "
        f"WHEN {v.ETHNICITY_NOT_HISPANIC} THEN 'not_hispanic' ELSE 'unknown' END AS ethnicity",
    )  # fmt: skip
