"""Training time on sparse covariates like those of claims: the product's own call of MLlib beside scikit-learn, on the same bytes.

    python -m bench.matrix [--rows 10000 100000 1000000] [--columns 2000] [--per-row 40] [--runs 1] [--kinds ...] [--ours-only]

Each contender is a process of its own, one after the other, ours first and in the next run theirs. `read s` is until features are in
memory, standardised: ours from Parquet through CountVectorizer and the product's own preparation, theirs a CSR matrix. `fit s` is
the fit alone, `whole s` the process with start and scoring of the held-out fifth. Both minimise the same objective, which is
printed where there is one. Boosted trees of scikit-learn need a dense matrix: they, and ours beside them, are left out where it is too large. XGBoost, where it is installed, is beside its own API.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.claims_matrix import Claims, read, write
from bench.machine import describe
from bench.process import MeasureError, run, session_cpu

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OURS, THEIRS = "carelake", "scikit-learn"
SEED = 7
PENALTY, MIXED = 0.05, 0.2  # the product's standard candidate (carelake.models.standard)
TREES = {"maxIter": 20.0, "maxDepth": 3.0, "stepSize": 0.15, "minInstancesPerNode": 10.0}
BOOSTED = {"n_estimators": 100.0, "max_depth": 3.0, "learning_rate": 0.1}
DENSE = 2 << 30  # bytes of a matrix of doubles up to which it is made dense
BYTES_A_VALUE, BYTES_AT_LEAST = 80, 3 << 30  # of memory, for the values of a row in a few copies
GOAL = 0.01


@dataclass(frozen=True)
class Kind:
    """A kind of model: the product's estimator with its parameters, and whether scikit-learn needs a dense matrix for it."""

    estimator: str
    params: Mapping[str, float]
    theirs: str
    dense: bool = False


KINDS = {
    "elastic net": Kind(
        "logistic", {"regParam": PENALTY, "elasticNetParam": MIXED, "maxIter": 25, "tol": 1e-4}, "saga"
    ),
    "ridge": Kind("logistic", {"regParam": PENALTY, "elasticNetParam": 0.0, "maxIter": 100}, "lbfgs"),
    "boosted trees": Kind("boosted_trees", TREES, "histograms", dense=True),
    "xgboost": Kind("xgboost", BOOSTED, "XGBoost's own API"),
}


def objective(
    label: Any, margin: Any, weight: Any, slopes: Any, penalty: float, mixed: float
) -> float:  # of arrays of doubles
    """What both minimise: the weighted mean of the logistic loss and the penalty of the slopes (intercept apart)."""
    loss = np.logaddexp(0.0, np.where(label > 0, -margin, margin))
    norm = mixed * np.abs(slopes).sum() + (1 - mixed) / 2 * (slopes**2).sum()
    return float(np.average(loss, weights=weight) + penalty * norm)


def balanced(label: Any) -> Any:
    """Weights with which both classes weigh the same, one on average."""
    share = label.mean()
    return np.where(label > 0, 0.5 / share, 0.5 / (1 - share))


def ours(kind: Kind, file: Path, columns: int) -> dict[str, float]:
    """Read, fit and score through Spark; no Python worker has a part in reading, logistic regression and MLlib's trees."""
    import pyspark.sql.functions as F
    from pyspark.ml import PipelineModel
    from pyspark.ml.feature import CountVectorizerModel
    from pyspark.ml.functions import vector_to_array

    from carelake.core.session import start
    from carelake.ml.dataset import settled, with_weights
    from carelake.ml.estimators import fit, slopes
    from carelake.ml.evaluate import auroc
    from carelake.ml.model import Estimator
    from carelake.ml.preparation import COVARIATES, prepare

    with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
        spark = start("bench matrix", scratch)
        begun = time.monotonic()
        words = CountVectorizerModel.from_vocabulary(
            [str(i) for i in range(columns)], inputCol="codes", outputCol=COVARIATES
        ).setBinary(True).setMinTF(1.0)  # fmt: skip
        rows = spark.read.parquet(str(file)).selectExpr(
            "*", "transform(indices, i -> cast(i AS string)) AS codes", "DATE'2024-01-01' AS index_date"
        )
        split = words.transform(rows).select("person_id", "index_date", "held_out", "label", COVARIATES)
        train, held = split.where("NOT held_out"), split.where("held_out")
        n, events = train.agg(F.count("*"), F.sum("label").cast("bigint")).first() or (0, 0)
        fit_on = settled(with_weights(train, n, events), n).persist()
        made = prepare(fit_on, {})
        prepared = made.transform(fit_on).select("label", "weight", "features").persist()
        prepared.count()
        fit_on.unpersist()
        was_read, idle = time.monotonic(), session_cpu()
        stages = fit(Estimator(kind.estimator), kind.params, prepared, SEED)
        fitted, busy = time.monotonic(), session_cpu()
        margin = vector_to_array(F.col("margin"))[0].alias("margin")
        scored = PipelineModel([*made.stages, *stages]).transform(held).select("label", margin).toArrow()
        told = {
            "read": was_read - begun, "fit": fitted - was_read, "fit_cpu": busy - idle,
            "auroc": auroc(scored["label"].to_numpy(), scored["margin"].to_numpy()),
        }  # fmt: skip
        linear = slopes(stages)
        if linear is not None:
            side = PipelineModel(stages).transform(prepared).select("label", "weight", margin).toArrow()
            told["objective"] = objective(
                *(side[c].to_numpy() for c in ("label", "margin", "weight")), linear, kind.params["regParam"], kind.params["elasticNetParam"]
            )  # fmt: skip
        spark.stop()
    return told


def theirs(kind: Kind, file: Path, columns: int) -> dict[str, float]:
    """Read, fit and score by scikit-learn (or by XGBoost's API for it)."""
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import StandardScaler

    begun = time.monotonic()
    x, label, held = read(file, columns)
    scaler = StandardScaler(with_mean=False).fit(x[~held])
    train, y = scaler.transform(x[~held]), label[~held]
    weight = balanced(y)
    test = scaler.transform(x[held])
    if kind.dense:
        train, test = train.toarray(), test.toarray()
    was_read, idle = time.monotonic(), session_cpu()
    model = _their_model(kind, len(y)).fit(train, y, sample_weight=weight)
    fitted, busy = time.monotonic(), session_cpu()
    told = {
        "read": was_read - begun, "fit": fitted - was_read, "fit_cpu": busy - idle,
        "auroc": float(roc_auc_score(label[held], model.predict_proba(test)[:, 1])),
    }  # fmt: skip
    if kind.estimator == "logistic":
        margin = model.decision_function(train)
        told["objective"] = objective(
            y, margin, weight, model.coef_[0], kind.params["regParam"], kind.params["elasticNetParam"]
        )  # fmt: skip
    return told


def _their_model(kind: Kind, rows: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    p = kind.params
    if (
        kind.estimator == "logistic"
    ):  # Spark's penalty is of the mean of the loss, scikit-learn's C of its sum
        return LogisticRegression(
            C=1 / (p["regParam"] * rows), l1_ratio=p["elasticNetParam"], solver=kind.theirs, max_iter=1000, random_state=SEED,
        )  # fmt: skip
    if kind.dense:  # MLlib's margin is half of the log odds, so that a step of its goes twice as far
        return HistGradientBoostingClassifier(
            max_iter=int(p["maxIter"]), max_depth=int(p["maxDepth"]), learning_rate=2 * p["stepSize"],
            min_samples_leaf=int(p["minInstancesPerNode"]), early_stopping=False, random_state=SEED,
        )  # fmt: skip
    from xgboost import XGBClassifier

    return XGBClassifier(
        n_estimators=int(p["n_estimators"]), max_depth=int(p["max_depth"]), learning_rate=p["learning_rate"], random_state=SEED,
    )  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One contender's process; `objective` is NaN where there is none."""

    read: float
    fit: float
    fit_cpu: float
    whole: float
    cpu: float
    peak_rss: float
    auroc: float
    objective: float = float("nan")


def medians(figures: Sequence[Figure]) -> Figure:
    """Of each figure over the runs; of memory the largest."""
    found = {
        name: median(getattr(f, name) for f in figures)
        for name in ("read", "fit", "fit_cpu", "whole", "cpu", "auroc", "objective")
    }
    return Figure(**found, peak_rss=max(f.peak_rss for f in figures))


def row(rows: int, name: str, kind: str, own: Figure, other: Figure | None) -> str:
    """A Markdown row; `other` is scikit-learn's, None for its own row and where it has none."""
    known = (
        [
            f"{own.auroc - other.auroc:+.4f}",
            f"{own.fit / other.fit:.2f}",
            f"{own.fit_cpu / max(other.fit_cpu, 0.01):.2f}",
            f"{own.whole / other.whole:.2f}",
        ]
        if other
        else ["-"] * 4
    )
    value = "-" if own.objective != own.objective else f"{own.objective:.5f}"
    cells = [
        f"{rows:,}", f"{name}, {kind}", f"{own.read:.1f}", f"{own.fit:.1f}", f"{own.fit_cpu:.1f}", f"{own.whole:.1f}", f"{own.cpu:.0f}",
        f"{own.peak_rss / 2**30:.1f}", f"{own.auroc:.4f}", known[0], value, *known[1:],
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| rows | contender | read s | fit s | fit CPU s | whole s | CPU s | peak RSS GB | AUROC | difference | objective | fit, ratio to scikit-learn | fit CPU, ratio | whole, ratio |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def overtaken(kind: str, ratios: Mapping[int, float]) -> str:
    """One sentence: from which size ours is faster and stays so, else how the ratio (ours to theirs) goes with the rows."""
    sizes = sorted(ratios)
    if not sizes:
        return f"{kind}: nothing to compare with."
    told = ", ".join(f"{ratios[n]:.2f} at {n:,}" for n in sizes)
    faster = next((n for n in sizes if all(ratios[m] < 1 for m in sizes if m >= n)), None)
    if faster is not None:
        return (
            f"{kind}: the fit on Spark is faster than scikit-learn's from {faster:,} rows on (ratio {told})."
        )
    if len(sizes) == 1:
        return (
            f"{kind}: the fit on Spark does not overtake at {sizes[0]:,} rows (ratio {ratios[sizes[0]]:.2f})."
        )
    trend = "falls" if ratios[sizes[-1]] < ratios[sizes[0]] else "does not fall"
    return f"{kind}: the fit on Spark does not overtake up to {sizes[-1]:,} rows; the ratio {trend} ({told})."


def need_room(rows: int, columns: int, per_row: float, dense: bool, folder: Path) -> None:
    """Raises MeasureError when memory or disk has too little room."""
    need = BYTES_AT_LEAST + int(rows * per_row * BYTES_A_VALUE) + (3 * rows * columns * 8 if dense else 0)
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) << 10
    if free < need:
        raise MeasureError(f"{rows:,} rows need about {need >> 30} GiB of memory, and {free >> 30} are free")
    if shutil.disk_usage(folder).free < need:
        raise MeasureError(f"{rows:,} rows need about {need >> 30} GiB of disk below {folder}")


def measure(who: str, kind: str, file: Path, columns: int) -> Figure:
    """A contender in a process of its own."""
    log = file.parent / "log"
    done = run([sys.executable, "-m", "bench.matrix", "--child", who, kind, str(file), str(columns)], log)
    told = json.loads(log.read_text(encoding="utf-8", errors="replace").splitlines()[-1])
    print(
        f"  {who}, {kind}: fit {told['fit']:.1f} s, whole {done.seconds:.1f} s", file=sys.stderr, flush=True
    )
    return Figure(whole=done.seconds, cpu=done.cpu, peak_rss=done.peak_rss, **told)


def of_size(
    law: Claims, rows: int, kinds: Iterable[str], runs: int, only: bool, folder: Path
) -> dict[str, dict[str, Figure]]:
    """Figures by kind and contender at one size."""
    file = folder / f"{rows}.parquet"
    write(law, rows, file)
    out: dict[str, dict[str, Figure]] = {}
    for kind in kinds:
        figures: dict[str, list[Figure]] = {}
        for i in range(runs):
            for who in ([OURS] if only else [OURS, THEIRS])[:: -1 if i % 2 else 1]:
                need_room(rows, law.columns, law.per_row, KINDS[kind].dense, folder)
                figures.setdefault(who, []).append(measure(who, kind, file, law.columns))
        out[kind] = {who: medians(f) for who, f in figures.items()}
    file.unlink()
    return out


def fitting(kinds: Iterable[str], rows: int, columns: int) -> list[str]:
    """The kinds that are measured at this size: those that need a dense matrix where it is small enough, xgboost where it is installed."""
    return [
        k for k in kinds
        if (not KINDS[k].dense or rows * columns * 8 <= DENSE) and (k != "xgboost" or find_spec("xgboost") is not None)
    ]  # fmt: skip


def main(argv: list[str]) -> int:
    """Measure and print."""
    if argv[:1] == ["--child"]:
        who, kind, file, columns = argv[1:]
        told = (ours if who == OURS else theirs)(KINDS[kind], Path(file), int(columns))
        print(f"\n{json.dumps(told)}", flush=True)
        return 0
    p = argparse.ArgumentParser(prog="python -m bench.matrix", description=__doc__)
    p.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], metavar="N")
    p.add_argument("--columns", type=int, default=2000, metavar="N")
    p.add_argument(
        "--per-row", type=float, default=40, metavar="N", help="columns that a row has, on average"
    )
    p.add_argument("--seed", type=int, default=1, metavar="N")
    p.add_argument("--runs", type=int, default=1, metavar="N")
    p.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    p.add_argument("--ours-only", action="store_true", help="without scikit-learn")
    given = p.parse_args(argv)
    law = Claims(given.columns, given.per_row, given.seed)
    begun = describe()
    ratios: dict[str, dict[int, float]] = {k: {} for k in given.kinds}
    lines, apart = [HEAD], [0.0]
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            for rows in given.rows:
                kinds = fitting(given.kinds, rows, given.columns)
                for kind in set(given.kinds) - set(kinds):
                    print(
                        f"{rows:,} rows: {kind} left out (dense too large, or not installed)", file=sys.stderr
                    )
                found = of_size(law, rows, kinds, given.runs, given.ours_only, Path(scratch))
                for kind, by in found.items():
                    own, other = by[OURS], by.get(THEIRS)
                    lines.append(row(rows, OURS, kind, own, other))
                    if other:
                        lines.append(row(rows, THEIRS, f"{kind} ({KINDS[kind].theirs})", other, None))
                        ratios[kind][rows] = own.fit / other.fit
                        apart.append(abs(own.auroc - other.auroc))
    except (MeasureError, ValueError) as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    print(f"{begun}\n\nAfter: {describe(short=True)}\n")
    print(
        f"{given.columns} columns, {given.per_row:g} a row, seed {given.seed}, medians of {given.runs} run(s).\n"
    )
    print("\n".join(lines) + "\n")
    print("\n".join(overtaken(kind, found) for kind, found in ratios.items()))
    met = "met" if max(apart) <= GOAL else "**not met**"
    print(f"\nAUROC apart by at most {max(apart):.4f}, goal {GOAL}: {met}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
