"""The report page: plain values → one static HTML file that needs no network."""

from __future__ import annotations

import base64
import html
import math
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from carelake.report.facts import Facts, GateFacts, ModelFacts, Rows

_OUTCOMES = ("written", "duplicate", "superseded", "excluded", "quarantined")
_METRICS = (
    ("auroc", "AUROC"), ("baseline_auroc", "AUROC of the baseline"), ("auroc_gain", "AUROC above the baseline"), ("auprc", "AUPRC"),
    ("brier", "Brier score"), ("calibration_slope", "Calibration slope (ideal 1)"),
    ("calibration_intercept", "Calibration intercept (ideal 0)"),
)  # fmt: skip
_PLOTS = {
    "roc": "ROC curve: sensitivity against false alarms; the dotted line is chance",
    "pr": "Precision and recall; the dotted line is the share of events",
    "calibration": "Calibration: what was predicted against what happened; the dotted line is perfect",
}
# What a rule or a link means to somebody who does not know the code; one that is not here is shown by its name alone.
_WORDS = {
    "total_line": "the line that sums up a claim; its parts are mapped",
    "not_final_action": "a claim that a later one replaced",
    "kind_not_mapped": "kept in bronze as sent; carelake does not map this kind yet",
    "reference_only": "looked up by the records that refer to it, no event of its own",
    "fulfilled_by_administration": "an order that was given: the administration counts instead, so that no dose counts twice",
    "self": "the person's first record; others were joined to it",
    "shared_identifier": "an identifier that both senders know",
    "enrollment": "the enrolment table says whose account it is",
    "name_birth_sex_zip": "same name, birth date, sex and ZIP",
}
_SECTIONS = (
    ("landed", "Landed"), ("ledger", "Ledger"), ("left-out", "Quarantined"), ("harmonised", "Harmonised"), ("quality", "Quality"), ("mapped", "Mapped"),
    ("unmapped", "Unmapped"), ("model", "Model"), ("worklist", "Worklist"),
)  # fmt: skip


def page(facts: Facts) -> str:
    """The whole page."""
    style = (files("carelake.report") / "style.css").read_text(encoding="utf-8")
    parts = [
        _head(facts),
        _section("landed", "What was landed", "files and records of each sender since the lake was made", _landed(facts)),
        _section("ledger", "What became of every record", _balance(facts.ledger), _ledger(facts.ledger)),
        _section("left-out", "Quarantined and left out, and why", "no value of a record is shown or kept here", _reasons(facts)),
        _section("harmonised", "Harmonised", "people linked across senders, and rows of OMOP CDM v5.4", _harmonised(facts)),
        _section("quality", "Quality checks", _passed(facts.checks), _quality(facts.checks)),
        _section("mapped", "Mapped to standard concepts", "share of events whose code has a standard concept", _coverage(facts)),
        _section("unmapped", "Codes without a standard concept", "the first 25 by events; all in gold/unmapped_code", _unmapped(facts)),
        _section("model", "Risk model", "how well it did on people that it had not seen", _models(facts)),
        _section("worklist", "Worklist", f"{_n(facts.scored)} people scored as of {facts.as_of}; the first 25", _worklist(facts)),
    ]  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>carelake report</title><style>{style}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _e(value: Any) -> str:
    return html.escape("" if value is None else str(value))


def _n(value: Any) -> str:
    return "" if value is None else f"{int(value):,}"


def _section(anchor: str, title: str, lead: str, body: str) -> str:
    return f'<section id="{anchor}"><h2>{_e(title)}</h2><p class="lead">{_e(lead)}</p>{body}</section>'


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = (), empty: str = "None."
) -> str:
    """Cells are HTML already; `numbers` are the columns set right; without rows the sentence `empty` stands there."""
    kind = [' class="n"' if i in numbers else "" for i in range(len(head))]
    top = "".join(f"<th{k}>{_e(h)}</th>" for h, k in zip(head, kind, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{c}</td>" for c, k in zip(r, kind, strict=True)) + "</tr>" for r in rows
    )
    if not body:
        return f"<p>{_e(empty)}</p>"
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _details(summary: str, body: str) -> str:
    return f"<details><summary>{summary}</summary>{body}</details>"


def _share(part: int, whole: int) -> str:
    """A bar and a percentage, which is 100 only when nothing is missing and 0 only when nothing is there."""
    if not whole:
        return ""
    percent = 100 * part / whole
    shown = f"{min(max(round(percent, 1), 0.1), 99.9):g}" if 0 < part < whole else f"{percent:g}"
    return (
        f'<span class="share"><span class="bar"><i style="width:{percent:.1f}%"></i></span>{shown} %</span>'
    )


def _rule(name: Any) -> str:
    """A rule's name with what it means."""
    words = _WORDS.get(str(name))
    return f"{_e(name)}<small>{_e(words)}</small>" if words else _e(name)


def _count(rows: Rows, column: str) -> int:
    return sum(r[column] or 0 for r in rows)


def _head(f: Facts) -> str:
    persons = next((t["rows"] for t in f.tables if t["table"].endswith("/person")), 0)
    events, mapped = _count(f.coverage, "n_rows"), _count(f.coverage, "n_rows_mapped")
    tiles = [
        ("people", _n(persons)), ("records landed", _n(_count(f.files, "units"))),
        ("records left out by a rule", _n(_count(f.ledger, "rows_excluded"))),
        ("records quarantined", _n(_count(f.ledger, "rows_quarantined"))),
        ("of events have a standard concept", f"{100 * mapped / events:.1f} %" if events else "n/a"),
        ("people scored", _n(f.scored)),
    ]  # fmt: skip
    notices = []
    if f.synthetic:
        notices.append(
            "The population is <b>synthetic</b> (Synthea); real Fitbit recordings of 2016 were attached to synthetic patients "
            "and moved in time. Nothing here says anything about real people."
        )
    notices += [
        f"The risk model {_e(m.name)} (version {_e(m.version)}) is <b>not approved</b>: it failed "
        f"{sum(not g.holds for g in m.gates)} of its {len(m.gates)} gates. Do not act on its scores or on the worklist."
        for m in f.models
        if not m.approved
    ]
    shown = "".join(f"<div><b>{v}</b><span>{k}</span></div>" for k, v in tiles)
    links = " ".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in _SECTIONS)
    return (
        f'<header><h1>carelake report</h1><p class="lead">run {_e(f.run_id)}, published {_e(f.published_at)} UTC, '
        f'as of {_e(f.as_of)}</p><div class="tiles">{shown}</div>{"".join(_notice(n) for n in notices)}<nav>{links}</nav></header>'
    )


def _notice(body: str) -> str:
    """`body` is HTML already."""
    return f'<p class="notice">{body}</p>'


def _landed(f: Facts) -> str:
    rows = [
        (_e(r["source"]), _e(r["format"]), _e(r["status"]), _n(r["files"]), f"{(r['bytes'] or 0) / 1e6:,.2f}", _n(r["units"]))
        for r in f.files
    ]  # fmt: skip
    head = ("sender", "format", "status", "files", "MB as sent", "records")
    return _table(head, rows, (3, 4, 5), "Nothing was landed yet.")


def _balance(ledger: Rows) -> str:
    """The promise of the ledger, checked on what is shown."""
    off = sum(r["rows_in"] != sum(r[f"rows_{o}"] for o in _OUTCOMES) for r in ledger)
    if off:
        return f"{off} of {len(ledger)} lines do NOT balance: records went missing"
    return f"each record that a stage examined has one outcome; all {len(ledger)} lines balance"


def _ledger(ledger: Rows) -> str:
    head = ("kind", "stage", "in", *_OUTCOMES)
    parts = []
    for source, group in groupby(ledger, key=lambda r: r["source"]):
        lines = list(group)
        rows = [
            (_e(r["kind"]), _e(r["stage"]), _n(r["rows_in"]), *[_n(r[f"rows_{o}"]) for o in _OUTCOMES])
            for r in lines
        ]
        landed = _count([r for r in lines if r["stage"] == "bronze"], "rows_in")
        kinds = len({r["kind"] for r in lines})
        parts.append(_details(
            f"<b>{_e(source)}</b>: {kinds} {'kind' if kinds == 1 else 'kinds'} of record, {_n(landed)} last landed, "
            f"{_n(_count(lines, 'rows_excluded'))} left out by a rule, {_n(_count(lines, 'rows_quarantined'))} quarantined",
            _table(head, rows, range(2, 8)),
        ))  # fmt: skip
    return "".join(parts) or "<p>Nothing was examined yet.</p>"


def _reasons(f: Facts) -> str:
    refused = [r for r in f.reasons if r["severity"] != "excluded"]
    left_out = [r for r in f.reasons if r["severity"] == "excluded"]
    first = _table(
        ("sender", "kind", "stage", "outcome", "class", "rule", "records"),
        [
            (*[_e(r[c]) for c in ("source", "kind", "stage", "severity", "reason")], _rule(r["rule"]), _n(r["records"]))
            for r in refused
        ],
        (6,),
        "No record was refused.",
    )  # fmt: skip
    second = _table(
        ("sender", "kind", "stage", "rule", "records"),
        [(*[_e(r[c]) for c in ("source", "kind", "stage")], _rule(r["rule"]), _n(r["records"])) for r in left_out],
        (4,),
        "No record was left out.",
    )  # fmt: skip
    bills = sum(r["records"] for r in left_out if r["kind"] == "ExplanationOfBenefit")
    note = (
        f"<p>{_n(bills)} ExplanationOfBenefit records landed and are not mapped yet. Those of Medicare from 2014 on may bill "
        "what the claims files bill; those of other payers and earlier years are outside them, and their cost is missing "
        "from every figure here until they are mapped.</p>"
        if bills
        else ""
    )
    return f"<h3>Refused, with a reason</h3>{first}<h3>Left out by a rule</h3>{second}{note}"


def _harmonised(f: Facts) -> str:
    links = _table(
        ("sender", "person records joined by", "records"),
        [(_e(r["source"]), _rule(r["rule"]), _n(r["count"])) for r in f.links],
        (2,),
        "Nobody was linked yet.",
    )

    def tables(vocabulary: bool) -> str:
        rows = [
            (_e(t["table"].removeprefix("silver/omop/")), _n(t["rows"]))
            for t in f.tables
            if bool(t.get("vocabulary")) is vocabulary
        ]
        return _table(("table", "rows"), rows, (1,))

    return (
        f'<div class="columns"><div>{links}{_details("Rows of the vocabulary tables", tables(True))}</div>'
        f"<div>{tables(False)}</div></div>"
    )


def _passed(checks: Rows) -> str:
    """How many of the checks that apply hold."""
    about = [r for r in checks if r["status"] != "not_applicable"]
    held = _count([r for r in about if r["status"] == "pass"], "count")
    return (
        f"{_n(held)} of {_n(_count(about, 'count'))} checks that apply hold: those of OHDSI's Data Quality Dashboard (all in report/dqd.json, "
        "which its viewer opens), keys, ledger, money, and drift against the run before"
    )


_STATUSES = ("pass", "warn", "fail", "error", "not_applicable")


def _quality(checks: Rows) -> str:
    severities = sorted({r["severity"] for r in checks}, key=lambda s: (s == "drift", s != "fatal", str(s)))
    overview = _table(
        ("severity", "hold", "warn", "fail", "could not be made", "do not apply"),
        [
            (_e(s), *[_n(_count([r for r in checks if (r["severity"], r["status"]) == (s, status)], "count")) for status in _STATUSES])
            for s in severities
        ],
        range(1, 6),
        "No check was made yet.",
    )  # fmt: skip
    rows = [
        (
            _e(r["status"]), _e(r["severity"]), _e(r["check_name"]),
            _e(".".join(str(r[c]) for c in ("table_name", "field_name", "concept_id") if r[c] is not None).removeprefix("silver/omop/")),
            _n(r["rows_violating"]), _n(r["rows_checked"]),
            f"{100 * r['threshold']:g} %" if r["threshold"] is not None else "",
        )
        for r in checks
        if r["status"] not in ("pass", "not_applicable")
    ]  # fmt: skip
    head = ("outcome", "severity", "check", "of", "rows that break it", "rows", "allowed")
    return f"{overview}<h3>What does not hold</h3>{_table(head, rows, (4, 5, 6), 'Every check that applies holds.')}"


def _coverage(f: Facts) -> str:
    by_vocabulary: dict[str, Rows] = {}
    for r in f.coverage:
        by_vocabulary.setdefault(r["vocabulary_id"], []).append(r)
    short = sorted(by_vocabulary.items(), key=lambda x: (-_count(x[1], "n_rows"), x[0]))
    overview = _table(
        ("vocabulary", "senders", "events", "events mapped"),
        [
            (_e(name), _e(", ".join(sorted({r["source"] for r in rows}))), _n(_count(rows, "n_rows")),
             _share(_count(rows, "n_rows_mapped"), _count(rows, "n_rows")))
            for name, rows in short
        ],
        (2,),
        "No coded event yet.",
    )  # fmt: skip
    rows = [
        (
            _e(r["source"]), _e(r["domain_id"]), _e(r["vocabulary_id"]), _n(r["n_rows"]), _share(r["n_rows_mapped"], r["n_rows"]),
            _n(r["n_codes"]), _share(r["n_codes_mapped"], r["n_codes"]),
        )
        for r in f.coverage
    ]  # fmt: skip
    head = ("sender", "domain", "vocabulary", "events", "events mapped", "codes", "codes mapped")
    return overview + (
        _details("By sender and domain, with codes", _table(head, rows, (3, 5))) if rows else ""
    )


def _unmapped(f: Facts) -> str:
    rows = [
        (_n(r["rank"]), *[_e(r[c]) for c in ("source", "vocabulary_id", "code", "source_text", "domain_id")], _n(r["n_rows"]))
        for r in f.unmapped
    ]  # fmt: skip
    head = ("rank", "sender", "vocabulary", "code", "in the sender's words", "domain", "events")
    return _table(head, rows[:10], (0, 6)) + (
        _details(f"{len(rows) - 10} more", _table(head, rows[10:], (0, 6))) if len(rows) > 10 else ""
    )


def _models(f: Facts) -> str:
    return "".join(_model(m) for m in f.models) or "<p>No model has been trained yet.</p>"


def _number(value: float | None) -> str:
    """At most three decimals; a metric that could not be computed is n/a."""
    if value is None or math.isnan(value):
        return "n/a"
    return f"{value:.0f}" if value == int(value) else f"{value:.3f}"


def _model(m: ModelFacts) -> str:
    verdict = (
        '<p class="ok">Approved: every gate holds.</p>'
        if m.approved
        else _notice(
            "<b>Not approved.</b> This version has not passed its gates; its scores are shown for evaluation and must not steer care."
        )
    )
    rows = []
    for key, label in _METRICS:
        if key in m.metrics:
            low, high = m.metrics.get(f"{key}_lower"), m.metrics.get(f"{key}_upper")
            span = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
            rows.append((_e(label), f"{m.metrics[key]:.3f}", span))
    order = {name: i for i, name in enumerate(_PLOTS)}
    pictures = "".join(
        f'<figure><img alt="{_e(_PLOTS.get(name, name))}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{_e(_PLOTS.get(name, name))}</figcaption></figure>"
        for name, data in sorted(m.plots.items(), key=lambda x: (order.get(x[0], len(order)), x[0]))
    )
    asked = f"<p>The question: {_e(m.target)}.</p>" if m.target else ""
    card = _details("Model card", f"<pre>{_e(m.card)}</pre>") if m.card else ""
    measured = _table(("on the test side", "value", "95 % interval, bootstrap by person"), rows, (1,), "Nothing was measured.")  # fmt: skip
    gates = _table(("gate", "needs", "value", "outcome"), [_gate(g) for g in m.gates], (2,), "It has no gates.")  # fmt: skip
    return (
        f"<h3>{_e(m.name)}, version {_e(m.version)}</h3>{verdict}{asked}"
        f'<div class="columns">{measured}{gates}</div><div class="plots">{pictures}</div>{card}'
    )


def _gate(g: GateFacts) -> tuple[str, str, str, str]:
    return (
        _e(g.name.replace("_", " ")),
        _e(g.rule),
        _number(g.value),
        "holds" if g.holds else "<b>fails</b>",
    )


def _worklist(f: Facts) -> str:
    several = len({r["model"] for r in f.worklist}) > 1
    notices = sorted({r["notice"] for r in f.worklist if r["notice"]})
    rows = [
        (
            _n(r["rank"]), *([_e(r["model"])] if several else []), _e(r["person_id"]), _score(r["score"]),
            "<ul>" + "".join(f"<li>{_e(x)}</li>" for x in r["reasons"] or []) + "</ul>",
            f'<span class="day">{_e(r["last_visit_date"])}</span>', _e(r["next_step"]),
        )
        for r in f.worklist
    ]  # fmt: skip
    head = ("rank", *(["model"] if several else []), "person", "score", "why", "last visit", "next step")
    body = _table(head, rows, (0, 3 if several else 2), "Nobody was scored.")
    return "".join(_notice(_e(n)) for n in notices) + body


def _score(score: float) -> str:
    """A probability; what would round to a certainty is not shown as one."""
    return "&gt; 0.999" if score > 0.9995 else "&lt; 0.001" if score < 0.0005 else f"{score:.3f}"
