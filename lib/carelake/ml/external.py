"""External validation by site: the winner fitted again without each of the largest sites, and tested there.

Internal-external cross-validation: Steyerberg and Harrell 2016, doi:10.1016/j.jclinepi.2015.04.005; Riley 2016, doi:10.1136/bmj.i3140;
reported as TRIPOD-Cluster asks, Debray 2023, doi:10.1136/bmj-2022-071018.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyspark.sql.functions as F
from pyspark.ml import PipelineModel

from carelake.ml.bootstrap import RESAMPLES, bootstrap
from carelake.ml.calibration import Calibrated
from carelake.ml.cross_validation import concurrently
from carelake.ml.dataset import with_weights
from carelake.ml.discrimination import Ranking, areas, ratio
from carelake.ml.estimators import fit
from carelake.ml.fairness import suppressed
from carelake.ml.held_out import SMALL_CELL, persons_behind
from carelake.ml.model import UNKNOWN
from carelake.ml.preparation import calibration_stages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

    from carelake.ml.cross_validation import Candidate, OutOfFold
    from carelake.ml.held_out import Floats
    from carelake.ml.model import RiskModel
    from carelake.ml.preparation import Prepared

MOST = 5  # sites, each of which costs a fit
FEWEST = 2
MEASURES = ("auroc", "observed_expected", "calibration_slope")
SIZES = ("rows", "persons", "events")
_COLUMNS = ("site", *SIZES, *(f"{m}{end}" for m in MEASURES for end in ("", "_lower", "_upper")))


@dataclass(frozen=True)
class External:
    """Sites that the model was tested at, largest first, a dict of _COLUMNS each (sizes None where they must not be shown).

    `found` sites have a row on the test side; `why_not` says why none was tested, with the numbers.
    """

    sites: tuple[Mapping[str, Any], ...] = ()
    found: int = 0
    why_not: str = ""

    def metrics(self) -> dict[str, float]:
        """`external_sites`, `external_sites_found`, and of each measure `external_<measure>_mean`, `_min` and `_max` over the sites.

        Every site counts the same; the mean of observed to expected is the geometric one.
        """
        out = {"external_sites": float(len(self.sites)), "external_sites_found": float(self.found)}
        for name in MEASURES if self.sites else ():
            values = np.array([s[name] for s in self.sites], dtype=np.float64)
            mean = np.exp(np.log(values).mean()) if name == "observed_expected" else values.mean()
            out |= {
                f"external_{name}_mean": float(mean), f"external_{name}_min": float(values.min()), f"external_{name}_max": float(values.max()),
            }  # fmt: skip
        return out

    def write(self, file: Path) -> None:
        """A CSV of one line per site, largest first; what must not be shown is empty."""
        with file.open("w", newline="", encoding="utf-8") as f:
            out = csv.writer(f)
            out.writerow(_COLUMNS)
            out.writerows([site[c] for c in _COLUMNS] for site in self.sites)


@dataclass(frozen=True)
class AtSites:
    """Rows with the site that cared for them (UNKNOWN: none), in arrays of one length."""

    person: NDArray[np.int64]
    label: Floats
    site: NDArray[np.str_]

    def enough(self, rows: NDArray[np.bool_], needed: int) -> bool:
        """Whether as many persons as needed have the event in these rows, and as many have a row without it."""
        event = self.label > 0
        return min(persons_behind(self.person, rows & kind) for kind in (event, ~event)) >= needed


def able(test: AtSites, train: AtSites, needed: int) -> tuple[list[str], int]:
    """The sites that can be tested, those of most persons on the test side first, at most MOST; and how many are on the test side.

    A site needs as many persons with the event and without it there, and as many on the training side at other sites.
    """
    names, at = np.unique(test.site, return_inverse=True)
    pairs = np.unique(np.column_stack([at, test.person]), axis=0)
    persons = np.bincount(pairs[:, 0], minlength=len(names))
    known = names != UNKNOWN
    trained = train.site != UNKNOWN
    found: list[str] = []
    for i in sorted(np.flatnonzero(known & (persons >= needed)), key=lambda i: (-persons[i], names[i])):
        if test.enough(at == i, needed) and train.enough(trained & (train.site != names[i]), needed):
            found.append(str(names[i]))
        if len(found) == MOST:
            break
    return found, int(known.sum())


def uncountable(test: AtSites, sites: Sequence[str]) -> set[str]:
    """Those of the sites whose sizes would give away, by subtraction from the whole, a small number of the rows elsewhere."""
    event = test.label > 0
    texts = np.where(np.isin(test.site, list(sites)), test.site, UNKNOWN)
    return suppressed(test.person, texts, [np.ones(len(texts), dtype=bool), event, ~event], ()) - {UNKNOWN}


def measured(
    person: NDArray[np.int64], label: Floats, score: Floats, seed: int, resamples: int = RESAMPLES
) -> dict[str, float]:
    """AUROC, observed to expected events and calibration slope, each with `_lower` and `_upper` (95 % by person).

    Shape: arrays of one length with both classes.
    """
    ranking, calibrated = Ranking.of(score), Calibrated(label, score)

    def statistics(weights: Floats) -> dict[str, Floats]:
        return {
            "auroc": areas(ranking.weighed(label, weights)), "observed_expected": ratio(weights @ label, weights @ score),
            "calibration_slope": calibrated.slopes(weights),
        }  # fmt: skip

    found = {name: float(values[0]) for name, values in statistics(np.ones((1, len(label)))).items()}
    for name, (low, high) in bootstrap(person, statistics, seed, resamples).items():
        found |= {f"{name}_lower": low, f"{name}_upper": high}
    return found


def validate_by_site(
    model: RiskModel,
    winner: Candidate,
    *,
    prepared: Prepared,
    train: DataFrame,
    seen: OutOfFold,
    test: DataFrame,
) -> External | None:
    """Fit the winner again on the training rows of all sites but one, and test it on the test rows of that one; None without `site`.

    `train` is the training side as candidates are fitted to it (label, weight, features, site), `seen` the same with its
    out-of-fold margins, `test` the test side. Estimator and parameters are the winner's, weights are made anew. Rows of no known site
    take no part. Two things are not made anew, to save three fits a site: medians and scales, which use no outcome, are those of the whole
    training side; and the calibration is learnt on the outcomes of the other sites alone, but on margins of fits that saw the site.
    """
    if model.site is None:
        return None
    table = test.select("person_id", "label", "site").toArrow()
    asked = AtSites(
        table["person_id"].to_numpy(), table["label"].to_numpy(), table["site"].to_numpy().astype(str)
    )
    needed = max(model.min_events, SMALL_CELL)
    sites, found = able(asked, AtSites(seen.person, seen.label, seen.texts["site"]), needed)
    if len(sites) < FEWEST:
        return External((), found, (
            f"{len(sites)} of {found} sites on the test side have {needed} persons with the event and {needed} without it, and the other sites as "
            f"many on the training side; {FEWEST} are needed"
        ))  # fmt: skip
    by = [model.recalibrated_column] if model.recalibrated_column else []
    rows = prepared.transform(test.where(F.col("site").isin(sites))).select(
        "person_id", "index_date", "label", "site", *by, "features"
    ).persist()  # fmt: skip

    def tested(site: str) -> dict[str, float]:
        others = seen.where(~np.isin(seen.texts["site"], [site, UNKNOWN]))
        elsewhere = train.where(~F.col("site").isin(site, UNKNOWN))
        weighted = with_weights(elsewhere, len(others.label), int(others.label.sum()))
        fitted = fit(winner.estimator, winner.params, weighted, model.seed)
        levels = others.levels(model.recalibrated_column)
        stages = calibration_stages(others.label, others.margin, train.sparkSession, levels)
        scored = PipelineModel([*fitted, *stages]).transform(rows.where(F.col("site") == site))
        table = scored.orderBy("person_id", "index_date").select("person_id", "label", "prediction").toArrow()
        person, label, score = (table[c].to_numpy() for c in ("person_id", "label", "prediction"))
        return measured(person, label, score, model.seed)

    try:
        figures = list(concurrently(train.sparkSession, tested, sites))
    finally:
        rows.unpersist()
    hidden = uncountable(asked, sites)
    return External(
        tuple(
            {"site": f"site {n}"} | dict.fromkeys(SIZES) | ({} if site in hidden else sizes(asked, site)) | of
            for n, (site, of) in enumerate(zip(sites, figures, strict=True), 1)
        ),
        found,
    )


def sizes(test: AtSites, site: str) -> dict[str, int]:
    """Rows, persons and events of a site."""
    at = test.site == site
    return {
        "rows": int(at.sum()),
        "persons": persons_behind(test.person, at),
        "events": int(test.label[at].sum()),
    }
