"""Which sites are tested, what is told of each and of all, and what is not shown."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from carelake.ml.external import AtSites, External, able, measured, sizes, uncountable

if TYPE_CHECKING:
    from pathlib import Path


def at_sites(*groups: tuple[str, int, int], first: int = 0) -> AtSites:
    """(site, persons with the event, persons without) each, one row per person."""
    label = [y for _, events, others in groups for y in (*[1.0] * events, *[0.0] * others)]
    site = [s for s, events, others in groups for _ in range(events + others)]
    return AtSites(np.arange(first, first + len(label)), np.array(label), np.array(site, dtype=str))


PLENTY = at_sites(("a", 50, 50), ("b", 50, 50), ("c", 50, 50), first=10_000)


def test_a_site_needs_events_and_others_and_is_ranked_by_persons() -> None:
    test = at_sites(
        ("small", 10, 90), ("b", 11, 20), ("a", 11, 20), ("all", 90, 10), ("large", 11, 40), ("unknown", 200, 200)
    )  # fmt: skip
    assert able(test, PLENTY, 11) == (["large", "a", "b"], 5)


def test_rows_of_few_persons_do_not_make_a_site_large() -> None:
    rows = at_sites(("a", 12, 12), ("b", 11, 11))
    many = AtSites(
        np.append(rows.person, np.repeat(rows.person[-1], 500)), np.append(rows.label, np.zeros(500)),
        np.append(rows.site, np.full(500, "b")),
    )  # fmt: skip
    assert able(many, PLENTY, 11)[0] == ["a", "b"]
    # twelve rows with the event, of ten persons
    few = AtSites(np.minimum(rows.person, 9), rows.label, rows.site)
    assert able(few, PLENTY, 11)[0] == []


def test_the_other_sites_must_have_enough_to_learn_from() -> None:
    test = at_sites(("a", 20, 20), ("b", 20, 20))
    # without a, ten persons with the event are left; those of no known site do not count
    train = at_sites(("a", 30, 30), ("b", 10, 30), ("unknown", 500, 500))
    assert able(test, train, 11)[0] == ["b"]
    assert able(test, at_sites(("a", 30, 30), ("b", 11, 30)), 11)[0] == ["a", "b"]


def test_at_most_five_sites_are_tested() -> None:
    test = at_sites(*((name, 20 + i, 20) for i, name in enumerate("abcdefg")))
    assert able(test, PLENTY, 11) == (["g", "f", "e", "d", "c"], 7)
    assert able(AtSites(np.empty(0, int), np.empty(0), np.empty(0, str)), PLENTY, 11) == ([], 0)


def test_figures_of_a_site_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(5)
    score = random.random(600) * 0.8 + 0.05
    label = (random.random(600) < score**1.3).astype(float)
    found = measured(np.arange(600), label, score, 1, 200)
    x = np.log(score / (1 - score))[:, None]
    slope = LogisticRegression(C=1e9, tol=1e-9).fit(x, label).coef_[0, 0]
    assert found["auroc"] == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert found["observed_expected"] == pytest.approx(label.sum() / score.sum())
    assert found["calibration_slope"] == pytest.approx(slope, abs=1e-4)
    for name in ("auroc", "observed_expected", "calibration_slope"):
        assert found[f"{name}_lower"] < found[name] < found[f"{name}_upper"]


def test_intervals_resample_persons_and_not_rows() -> None:
    random = np.random.default_rng(5)
    score = random.random(100)
    label = (random.random(100) < score).astype(float)
    once = measured(np.arange(100), label, score, 1, 400)
    # the same persons ten times each tell nothing more
    often = measured(np.tile(np.arange(100), 10), np.tile(label, 10), np.tile(score, 10), 1, 400)
    width = [m["auroc_upper"] - m["auroc_lower"] for m in (once, often)]
    assert width[1] == pytest.approx(width[0], rel=0.1)


def site(n: int, auroc: float, oe: float, slope: float, **more: Any) -> dict[str, Any]:
    ends = {
        f"{m}_{end}": 0.5
        for m in ("auroc", "observed_expected", "calibration_slope")
        for end in ("lower", "upper")
    }
    given = {"auroc": auroc, "observed_expected": oe, "calibration_slope": slope}
    return {"site": f"site {n}", "rows": 400, "persons": 300, "events": 40} | given | ends | more


def test_mean_and_range_across_sites_by_hand() -> None:
    external = External((site(1, 0.8, 0.5, 0.9), site(2, 0.7, 2.0, 1.3)), 9)
    # ratios average on the log scale: half as many and twice as many is as many
    assert external.metrics() == pytest.approx({
        "external_sites": 2, "external_sites_found": 9,
        "external_auroc_mean": 0.75, "external_auroc_min": 0.7, "external_auroc_max": 0.8,
        "external_observed_expected_mean": 1.0, "external_observed_expected_min": 0.5, "external_observed_expected_max": 2.0,
        "external_calibration_slope_mean": 1.1, "external_calibration_slope_min": 0.9, "external_calibration_slope_max": 1.3,
    })  # fmt: skip
    assert External((), 3, "too few").metrics() == {"external_sites": 0, "external_sites_found": 3}


def test_sizes_that_would_give_away_a_small_rest_are_not_shown() -> None:
    rest = ("c", 5, 5)
    test = at_sites(("a", 40, 60), ("b", 20, 30), rest)
    # 155 rows less 100 and 50 would be 5 with the event
    assert uncountable(test, ["a", "b"]) == {"b"}
    assert sizes(test, "a") == {"rows": 100, "persons": 100, "events": 40}
    assert uncountable(at_sites(("a", 40, 60), ("b", 20, 30)), ["a", "b"]) == set()
    assert uncountable(at_sites(("a", 40, 60), ("b", 20, 30), ("c", 11, 11)), ["a", "b"]) == set()


def test_the_file_has_a_line_for_each_site_and_nothing_where_a_size_is_not_shown(tmp_path: Path) -> None:
    External((site(1, 0.8, 1.0, 0.9), site(2, 0.7, 1.0, 1.3, rows=None, persons=None, events=None)), 2).write(
        tmp_path / "external.csv"
    )
    with (tmp_path / "external.csv").open() as f:
        lines = list(csv.DictReader(f))
    assert [(r["site"], r["rows"], r["auroc"], r["auroc_lower"]) for r in lines] == [
        ("site 1", "400", "0.8", "0.5"), ("site 2", "", "0.7", "0.5"),
    ]  # fmt: skip
