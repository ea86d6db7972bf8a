"""The model card: what a reader needs to judge a model, without a value of anyone's record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from carelake.ml.benefit import BUDGETS, THRESHOLDS, percent
from carelake.ml.external import MEASURES, SIZES
from carelake.ml.fairness import gaps
from carelake.ml.held_out import SMALL_CELL
from carelake.ml.tripod import TRIPOD_AI, events_per_variable, probast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from carelake.ml.external import External
    from carelake.ml.model import RiskModel

_METRICS = (
    ("auroc", "AUROC"), ("auprc", "AUPRC (average precision)"), ("brier", "Brier score"),
    ("brier_skill", "Scaled Brier score (1 perfect, 0 no better than the prevalence)"), ("log_loss", "Log loss, nats"),
    ("observed_expected", "Observed / expected events (ideal 1)"), ("calibration_slope", "Calibration slope (ideal 1)"),
    ("calibration_intercept", "Calibration intercept (ideal 0)"), ("ici", "Integrated calibration index (ideal 0)"),
    ("e50", "Median calibration error"), ("e90", "90th percentile of the calibration error"),
    ("baseline_auroc", "AUROC of the best baseline"), ("auroc_gain", "AUROC above the best baseline, paired"),
    ("champion_auroc", "AUROC of the champion"), ("champion_gain", "AUROC above the champion, paired"),
)  # fmt: skip
_EXTERNAL = ("AUROC", "observed / expected", "calibration slope")
_BY_BUDGET = (("sensitivity", 3), ("ppv", 3), ("number_needed", 1), ("lead_days", 0))
_BY_GROUP = ("persons", "rows", "events", "mean_score", "observed")
_MEASURED_BY_GROUP = ("auroc", "observed_expected", "sensitivity", "ppv", "false_positive_rate")
_STRONGEST = 20
_NAMED = 120  # predictors that are listed by their words
_MISSING = (
    "A missing value takes the median of the training side; for a predictor that some lack, a second one says whether it was missing. "
    "Nothing is dropped for being incomplete, and a score is made in the same way."
)


def card(
    model: RiskModel,
    *,
    metrics: Mapping[str, float],
    params: Mapping[str, str],
    failed: Sequence[str],
    groups: Sequence[Mapping[str, Any]],
    tables: Mapping[str, int],
    as_of: date,
    release: str,
    importances: Sequence[tuple[str, float, float, float]] = (),
    external: External | None = None,
) -> str:
    """The model card in Markdown: the declaration and the figures in the order of TRIPOD+AI (Collins, BMJ 2024).

    `importances` are words of a feature, importance, lower and upper bound. A metric that is absent or NaN is said to be not computable.
    """
    sections = (
        ("Intended use", [model.intended_use]),
        ("Question and outcome", [f"{model.target}.", *_doc("Cohort", model.cohort.name, model.cohort.doc)]),
        ("Participants", [model.population]),
        ("Source of data", [_source(tables, as_of, release)]),
        ("Predictors", _predictors(model)),
        ("Sample size", _sample_size(model, metrics)),
        ("Missing data", [params.get("missing_data", _MISSING)]),
        ("Analysis", _analysis(model, params)),
        ("Model", _model(model, params, importances)),
        ("Performance", _performance(metrics)),
        ("External validation", _external(external, metrics)),
        ("Gates", [_gates(model, metrics)]),
        ("Fairness", _fairness(model, groups)),
        ("Updating", _updating(model)),
        (
            "Risk of bias (PROBAST)",
            [_bullets(f"**{name}.** {said}" for name, said in probast(model, metrics))],
        ),
        ("Limits", [_bullets(model.limits)]),
        ("Open science", [_open(model, release)]),
        ("TRIPOD+AI", [_table(("item", "asks for", "answered in"), TRIPOD_AI)]),
    )
    body = [part for title, parts in sections for part in (f"## {title}", *(p for p in parts if p))]
    return "\n\n".join([f"# Model card: {model.name}", _verdict(failed), *body]) + "\n"


_UPDATING = (
    "This version was fitted once and calibrated as said above. It becomes the champion only when every gate holds; before that, and when it fails, the "
    "champion stays. A model is trained again when its data, declaration or code change; how it does in later years is known only as their outcomes mature."
)


def _updating(model: RiskModel) -> list[str]:
    by = model.recalibrate_by
    if by is None:
        return [
            _UPDATING,
            "Scores whose meaning differs between groups can be recalibrated by group; it is an option, which this model does not take.",
        ]
    return [
        _UPDATING,
        f"**Recalibrated by {by}**: each level of {by} has a line of its own from score to probability, learnt on out-of-fold scores of the training side; a "
        "level of fewer than 11 persons there, or none, takes that of all. Every figure in this card is of the recalibrated score. The same record so gets "
        f"another score in another level of {by}: to use a protected attribute in a score is a policy decision, which the figures cannot make and the law "
        "may forbid.",
    ]


def _verdict(failed: Sequence[str]) -> str:
    if not failed:
        return "**Approved**: every gate below holds."
    return f"**NOT approved**: {'; '.join(failed)}. Scores of this version are candidates and must not steer care."


def _doc(what: str, name: str, doc: str) -> list[str]:
    return [f"{what} `{name}`: {doc}"] if doc.strip() else []


def _source(tables: Mapping[str, int], as_of: date, release: str) -> str:
    versions = ", ".join(f"`{name}` {version}" for name, version in sorted(tables.items())) or "not given"
    return (
        f"Health records, claims and device data as their senders delivered them, mapped to OMOP CDM v5.4 by carelake {release}; as of "
        f"{as_of.isoformat()}. Records that could not be read are in quarantine with their reasons. Table versions: {versions}."
    )


def _predictors(model: RiskModel) -> list[str]:
    words = ", ".join(f.words + (f" ({f.unit})" if f.unit else "") for f in model.features[:_NAMED])
    if len(model.features) > _NAMED:
        words += f" and {len(model.features) - _NAMED} more, all in `feature_importances.csv` of the run"
    examined = [g for g in model.groups if g != model.recalibrate_by]
    sparse = (
        f" With them the covariates of `{model.covariates.table.name}` (every concept on record, in windows) that at least {SMALL_CELL} persons "
        "of the training side have, as there or not there; each by name in `feature_importances.csv`."
        if model.covariates
        else ""
    )
    kept = f" Not predictors unless listed, but examined: {', '.join(examined)}." if examined else ""
    if model.recalibrate_by:
        kept += f" The score also depends on {model.recalibrate_by}, by recalibration (see Updating)."
    return [
        f"{len(model.features)} candidates, all from before the index date: {words}.{sparse}{kept}",
        *_doc("Features", model.feature_table.name, model.feature_table.doc),
    ]


def _sample_size(model: RiskModel, metrics: Mapping[str, float]) -> list[str]:
    rows = [
        (side, *(_whole(metrics.get(f"{key}_{what}")) for what in ("rows", "persons", "events")))
        for side, key in (("training", "train"), ("test", "test"))
    ]
    per_variable = events_per_variable(model, metrics)
    return [
        _table(("side", "rows", "persons", "events"), rows),
        f"A row is a person at an index date. Training events per candidate predictor: {_number(per_variable, 1)}. Prevalence on the test side: "
        f"{_number(metrics.get('prevalence'))}. The sizes are what the data gave; no sample size was planned.",
        ""
        if metrics.get("test_rows")
        else "**There is no row on the test side: nothing could be measured.**",
    ]


def _analysis(model: RiskModel, params: Mapping[str, str]) -> list[str]:
    given = _bullets(f"{key.replace('_', ' ')}: {value}" for key, value in sorted(params.items()))
    return [
        "Split by time and by person: no person is on both sides, and training labels end before the first test index date.",
        f"Candidates ({', '.join(sorted({e.kind for e in model.estimator}))}) compete by mean AUROC over {model.folds} folds of persons inside "
        "the training side; the test side is looked at once, at the end. It is of other persons and later dates than the training side. "
        "Every baseline is fitted on the same training rows: "
        + "; ".join([*(f"{name} is a logistic regression on {', '.join(columns)}" for name, columns in model.baselines.items()), "prevalence is their share of events"])
        + ".",
        "Measures: discrimination (AUROC, average precision), overall error (Brier, log loss), calibration (in the large, slope, flexible curve), "
        "net benefit, yield at alert budgets; intervals are 95 % percentiles over resamples of persons, differences are paired.",
        given,
    ]  # fmt: skip


def _model(
    model: RiskModel, params: Mapping[str, str], importances: Sequence[tuple[str, float, float, float]]
) -> list[str]:
    strongest = sorted(importances, key=lambda row: -abs(row[1]))[:_STRONGEST]
    rows = [(words, _number(value, 4), _span(low, high, 4)) for words, value, low, high in strongest]
    return [
        f"Output: the probability (0-1) of the outcome. Estimator: {params.get('estimator', 'see the run')}. The fitted model, with its preparation and "
        f"calibration, is the registered model `{model.registered}`, what it gives to each predictor in `feature_importances.csv` of the run; a score is made by it alone.",
        _table((f"strongest {len(rows)} predictors", "importance", "interval"), rows) if rows else "",
    ]


def _performance(metrics: Mapping[str, float]) -> list[str]:
    baselines = [
        (key, f"AUROC of the baseline {key[9:-6].replace('_', ' ')}")
        for key in sorted(metrics)
        if key.startswith("baseline_") and key.endswith("_auroc") and key != "baseline_auroc"
    ]
    asked = [*_METRICS[:-2], *baselines, *(_METRICS[-2:] if "champion_auroc" in metrics else ())]
    budgets = [
        (f"{budget * 100:g} %", *(_with_span(metrics, f"{name}_top_{percent(budget)}", digits) for name, digits in _BY_BUDGET))
        for budget in BUDGETS
    ]  # fmt: skip
    benefits = [
        (f"{c * 100:g} %", *(_with_span(metrics, f"{name}_{percent(c)}") for name in ("net_benefit", "standardized_net_benefit", "net_benefit_gain")))
        for c in THRESHOLDS
    ]  # fmt: skip
    return [
        f"On the test side ({_whole(metrics.get('test_rows', 0))} rows of {_whole(metrics.get('test_persons', 0))} persons, "
        f"{_whole(metrics.get('test_events', 0))} events). 95 % intervals by resampling persons.",
        _table(("metric", "value", "interval"), [(label, _number(metrics.get(key)), _bounds(metrics, key)) for key, label in asked]),
        "When only the top of the list can be looked at:",
        _table(("flagged", "sensitivity", "positive predictive value", "looked at per event", "median days before the event"), budgets),
        "Net benefit per row when one acts from a threshold on, the same as a share of the prevalence, and beyond the better of acting on all and on none:",
        _table(("threshold", "net benefit", "standardized", "beyond all or none"), benefits),
    ]  # fmt: skip


def _external(external: External | None, metrics: Mapping[str, float]) -> list[str]:
    if external is None:
        return ["The model was not tested at sites that took no part in its fit: it declares no site."]
    if not external.sites:
        return [f"The model was not tested at sites that took no part in its fit: {external.why_not}."]
    rows = [
        (
            s["site"],
            *(_cell(s[name]) for name in SIZES),
            *(_cell(s[name]) + _in_brackets(s, name) for name in MEASURES),
        )
        for s in external.sites
    ]
    over = [
        (label, *(_number(metrics.get(f"external_{name}_{what}")) for what in ("mean", "min", "max")))
        for name, label in zip(MEASURES, _EXTERNAL, strict=True)
    ]
    return [
        f"Internal-external cross-validation (Steyerberg and Harrell 2016; Riley 2016): for each of the {len(rows)} largest sites of {external.found}, the winning "
        "estimator was fitted again on the training rows of all other sites, and tested on the test rows of that site: other persons, later dates, another place. "
        "A row is of the site of most visits in the three years before; rows of no known site take no part. Medians, scales and the margins of the calibration are "
        "of the whole training side, the outcomes that it is learnt on of the other sites alone. The version above was fitted on all sites.",
        _table(("site, by size", *SIZES, *_EXTERNAL), rows),
        "Across sites, each counted once (observed / expected: the geometric mean). The range is how far another site may differ; of few sites it is too narrow:",
        _table(("measure", "mean", "lowest", "highest"), over),
    ]  # fmt: skip


def _gates(model: RiskModel, metrics: Mapping[str, float]) -> str:
    rows = [
        (g.name, g.rule, _plain(metrics.get(g.metric)), "yes" if g.holds(metrics) else "**no**")
        for g in model.gates
    ]
    return _table(("gate", "rule", "value", "holds"), rows)


def _fairness(model: RiskModel, groups: Sequence[Mapping[str, Any]]) -> list[str]:
    if not groups:
        return ["No group was examined: none is declared, or the test side has no row."]
    rows = [
        (
            r["group"], r["level"], *(_cell(r.get(name)) for name in _BY_GROUP),
            *(_cell(r.get(name)) + _in_brackets(r, name) for name in _MEASURED_BY_GROUP),
        )
        for r in groups
    ]  # fmt: skip
    header = (
        "group", "level", "persons", "rows", "events", "mean score", "observed", "AUROC", "observed / expected",
        "sensitivity", "PPV", "false-positive rate",
    )  # fmt: skip
    found = [
        (name.removeprefix("gap_").replace("_", " "), _number(value)) for name, value in gaps(groups).items()
    ]
    return [
        "Rates are with the top 10 % of the whole test side flagged. A dash: the cell stands for fewer than 11 persons, or would give such a cell away "
        "by subtraction.",
        _table(header, rows),
        "Largest differences between levels that are shown:" if found else "No two levels of a group are shown: gaps cannot be computed.",
        _table(("group and measure", "gap"), found) if found else "",
        f"Examined by {', '.join(model.groups) or 'nothing'}. A gap of few persons may be chance: read the intervals. Equal figures do not make a use fair.",
    ]  # fmt: skip


def _open(model: RiskModel, release: str) -> str:
    return _bullets(
        (
            f"Code: carelake {release}, Apache-2.0; the declaration of `{model.name}` in it is the protocol. It was not registered, and the software "
            "does not know how often earlier versions were judged on the same test side.",
            "Data: they stay in the lake; the run names the table versions and carries figures of the whole or of at least 11 persons.",
            "Funding, interests, ethical approval, registration, and involvement of patients and the public are not known to the software: "
            "who uses the model has to state them.",
        )
    )  # fmt: skip


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(c).replace("|", "/") for c in line) + " |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _number(value: float | None, digits: int = 3) -> str:
    return "not computable" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def _plain(value: float | None) -> str:
    """A count without decimals, anything else with three."""
    return _whole(value) if value is not None and float(value).is_integer() else _number(value)


def _whole(value: float | None) -> str:
    return "not recorded" if value is None or not np.isfinite(value) else f"{value:,.0f}"


def _span(low: float | None, high: float | None, digits: int = 3) -> str:
    known = low is not None and high is not None and np.isfinite([low, high]).all()
    return f"{low:.{digits}f} to {high:.{digits}f}" if known else ""


def _bounds(metrics: Mapping[str, Any], key: str, digits: int = 3) -> str:
    return _span(metrics.get(f"{key}_lower"), metrics.get(f"{key}_upper"), digits)


def _with_span(metrics: Mapping[str, float], key: str, digits: int = 3) -> str:
    span = _bounds(metrics, key, digits)
    return _number(metrics.get(key), digits) + (f" ({span})" if span else "")


def _cell(value: float | int | None) -> str:
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _in_brackets(row: Mapping[str, Any], name: str) -> str:
    span = _bounds(row, name)
    return f" ({span})" if span else ""
