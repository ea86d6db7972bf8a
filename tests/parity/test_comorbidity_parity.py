"""Charlson and Elixhauser on real discharges equal what R's comorbidity package says of them, flag by flag."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from carelake.gold.comorbidity.charlson import CHARLSON
from carelake.gold.comorbidity.elixhauser import ELIXHAUSER
from carelake.gold.comorbidity.index import ComorbidityIndex, counted_sql, groups_sql, score_sql

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

# The columns of R's package in the order of the groups here, which is that of the paper's tables.
COLUMNS = {
    "charlson": ["mi", "chf", "pvd", "cevd", "dementia", "cpd", "rheumd", "pud", "mld", "diab", "diabwc", "hp", "rend", "canc", "msld", "metacanc", "aids"],
    "elixhauser": ["chf", "carit", "valv", "pcd", "pvd", "hypunc", "hypc", "para", "ond", "cpd", "diabunc", "diabc", "hypothy", "rf", "ld", "pud", "aids", "lymph", "metacanc", "solidtum", "rheumd", "coag", "obes", "wloss", "fed", "blane", "dane", "alcohol", "drug", "psycho", "depre"],
}  # fmt: skip
SCORES = {
    "charlson": {"charlson_1987": "score_charlson", "quan_2011": "score_quan"},
    "elixhauser": {"van_walraven": "score_vw"},
}
SETS = {
    "uranium_icd10": ("ICD10", "icd10", 158),
    "vermont_icd9": ("ICD9CM", "icd9", 500),
    "nhds2010_icd9": ("ICD9CM", "icd9", 1105),
}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("index", [CHARLSON, ELIXHAUSER], ids=lambda i: i.name)
def test_every_flag_and_score_of_every_discharge_is_the_same(
    spark: SparkSession, data: Path, name: str, index: ComorbidityIndex
) -> None:
    vocabulary, icd, people = SETS[name]
    folder = data / "comorbidity"
    codes = read(folder / f"{name}_codes.csv")
    expected = read(folder / f"{name}_expected_{index.name}_{icd}_quan.csv")
    assert len(expected) == people
    columns = dict(zip((g.name for g in index.groups), COLUMNS[index.name], strict=True))

    rows = spark.createDataFrame(
        [(r["patient_id"], r["code"]) for r in codes], "patient_id string, code string"
    )
    flagged = (
        rows.selectExpr("patient_id", groups_sql(index, f"'{vocabulary}'", "code") + " AS groups")
        .groupBy("patient_id")
        .agg({"groups": "collect_list"})
        .selectExpr("patient_id", "array_distinct(flatten(`collect_list(groups)`)) AS groups")
        .selectExpr(
            "patient_id", f"{counted_sql(index, 'groups')} AS counted",
            *[f"{score_sql(index, w, 'groups')} AS {w}" for w in index.weightings],
        )
    )  # fmt: skip
    ours = {r.patient_id: r for r in flagged.collect()}

    different = []
    for theirs in expected:
        mine = ours[theirs["patient_id"]]
        different += [
            (theirs["patient_id"], group)
            for group, column in columns.items()
            if (group in mine.counted) != (theirs[column] == "1")
        ]
        different += [
            (theirs["patient_id"], weighting)
            for weighting, column in SCORES[index.name].items()
            if mine[weighting] != int(theirs[column])
        ]
    assert different == []
