"""A site is tested by a fit that took no row of it, against scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark.sql import functions as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from carelake.ml.cross_validation import Candidate, OutOfFold
from carelake.ml.external import External, validate_by_site
from carelake.ml.model import Estimator
from carelake.ml.preparation import Seen, prepare
from tests.unit.ml.test_risk_model import MODEL

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SITED = replace(MODEL, site="place")
WINNER = Candidate(Estimator("logistic"), {"regParam": 0.0, "maxIter": 100.0, "tol": 1e-9})
SCHEMA = "person_id bigint, index_date date, label double, weight double, site string, x double, y double"
SITES = ("north", "south", "west")


def drawn(persons: int, seed: int, first: int) -> list[tuple[Any, ...]]:
    """Two sites where the event follows x, one (west) where it follows y; some rows of no site, of which nothing is true."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(persons):
        x, y = random.normal(size=2)
        site = random.choice([*SITES, "unknown"], p=[0.4, 0.3, 0.2, 0.1])
        risk = {"west": y, "unknown": -3 * x}.get(str(site), x) - 0.5
        label = float(random.random() < 1 / (1 + np.exp(-risk)))
        rows.append((first + i, None, label, 1.0, str(site), float(x), float(y)))
    return rows


TRAIN, TEST = drawn(900, 1, 0), drawn(500, 2, 10_000)


def external(
    spark: SparkSession, train: list[tuple[Any, ...]] = TRAIN, test: list[tuple[Any, ...]] = TEST
) -> External:
    frame = spark.createDataFrame(train, SCHEMA).coalesce(1)
    seen = {"x": Seen(0.0, 0.0), "y": Seen(0.0, 0.0)}
    prepared = prepare(spark.createDataFrame(TRAIN, SCHEMA).coalesce(1), seen)
    # margins as fits to other folds would give: of x alone
    outside = OutOfFold(
        np.array([r[0] for r in train]), np.array([r[2] for r in train]), np.array([r[5] for r in train]),
        {"site": np.array([r[4] for r in train])},
    )  # fmt: skip
    fit_on: DataFrame = prepared.transform(frame).select("label", "weight", "site", "features")
    out = validate_by_site(
        SITED, WINNER, prepared=prepared, train=fit_on, seen=outside, test=spark.createDataFrame(test, SCHEMA)
    )  # fmt: skip
    assert out is not None
    return out


def by_hand(site: str) -> tuple[float, float]:
    """AUROC and observed to expected events at a site, by scikit-learn: fitted and calibrated on the others."""
    others = [r for r in TRAIN if r[4] not in (site, "unknown")]
    here = [r for r in TEST if r[4] == site]
    label, x = np.array([r[2] for r in others]), np.array([r[5:] for r in others])
    fitted = LogisticRegression(C=1e9, tol=1e-9, class_weight="balanced").fit(x, label)
    platt = LogisticRegression(C=1e9, tol=1e-9).fit(x[:, :1], label)
    seen, margin = np.array([r[2] for r in here]), fitted.decision_function(np.array([r[5:] for r in here]))
    return float(roc_auc_score(seen, margin)), float(
        seen.sum() / platt.predict_proba(margin[:, None])[:, 1].sum()
    )


@pytest.fixture(scope="module")
def found(spark: SparkSession) -> External:
    return external(spark)


def test_each_site_is_scored_by_a_fit_and_a_calibration_of_the_others(found: External) -> None:
    assert [s["site"] for s in found.sites] == ["site 1", "site 2", "site 3"]
    assert found.found == 3
    sizes = {name: sum(r[4] == name for r in TEST) for name in SITES}
    assert [s["rows"] for s in found.sites] == [sizes[name] for name in SITES]
    for name, told in zip(SITES, found.sites, strict=True):
        auroc, ratio = by_hand(name)
        assert told["auroc"] == pytest.approx(auroc, abs=1e-3)
        assert told["observed_expected"] == pytest.approx(ratio, abs=1e-3)
        assert told["auroc_lower"] < told["auroc"] < told["auroc_upper"]
    # where the event follows something else, a fit that did not see the site may be no better than chance
    assert found.sites[0]["auroc_lower"] > 0.5 > found.sites[2]["auroc_lower"]


def test_no_training_row_of_a_site_and_none_of_no_site_has_a_part_in_its_figures(
    spark: SparkSession, found: External
) -> None:
    def turned(*sites: str) -> External:
        return external(spark, [(*r[:2], 1 - r[2], *r[3:]) if r[4] in sites else r for r in TRAIN])

    assert turned("north", "unknown").sites[0] == found.sites[0]
    assert turned("south").sites[0]["auroc"] != found.sites[0]["auroc"]


def test_fewer_than_two_sites_are_not_tested_and_it_is_said_with_their_number(spark: SparkSession) -> None:
    few = [r for r in TEST if r[4] in ("north", "unknown")] + [r for r in TEST if r[4] == "south"][:15]
    told = external(spark, test=few)
    assert (told.sites, told.found) == ((), 2)
    assert told.why_not.startswith(
        "1 of 2 sites on the test side have 11 persons with the event and 11 without it"
    )
    assert external(spark, test=[]).why_not.startswith("0 of 0 sites")


def test_a_model_without_a_site_is_not_tested_elsewhere(spark: SparkSession) -> None:
    none = spark.createDataFrame([], SCHEMA)
    prepared = prepare(spark.createDataFrame(TRAIN[:20], SCHEMA).coalesce(1), {"x": Seen(0.0, 0.0)})
    outside = OutOfFold(np.empty(0, np.int64), np.empty(0), np.empty(0), {})
    assert validate_by_site(MODEL, WINNER, prepared=prepared, train=none, seen=outside, test=none) is None


def test_the_site_of_a_row_is_a_text_and_unknown_where_there_is_none(spark: SparkSession) -> None:
    features = spark.createDataFrame(
        [(1, 70, 1.0), (2, None, 1.0)], "person_id bigint, place bigint, x double"
    ).withColumn("index_date", F.lit("2024-01-01").cast("date"))
    cohort = spark.createDataFrame(
        [(1, "test", True), (2, "test", False)], "person_id bigint, split string, label boolean"
    )
    cohort = cohort.withColumn("index_date", F.lit("2024-01-01").cast("date"))
    rows = SITED.dataset(features, cohort).orderBy("person_id").collect()
    assert [r.site for r in rows] == ["70", "unknown"]
    assert "site" not in MODEL.dataset(features, cohort).columns
