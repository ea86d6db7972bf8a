"""The report page: plain values → one static HTML file that needs no network."""

from __future__ import annotations

import base64
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any

from carelake.report.markup import details, escaped, figure, notice, number, section, share, table

if TYPE_CHECKING:
    from carelake.report.facts import Facts, GateFacts, ModelFacts, Rows

_OUTCOMES = ("written", "duplicate", "superseded", "excluded", "quarantined")
_METRICS = (
    ("auroc", "AUROC"), ("baseline_auroc", "AUROC of the baseline"), ("auroc_gain", "AUROC above the baseline"), ("auprc", "AUPRC"),
    ("brier", "Brier score"), ("calibration_slope", "Calibration slope (ideal 1)"),
    ("calibration_intercept", "Calibration intercept (ideal 0)"),
)  # fmt: skip
PLOTS = {
    "roc": "ROC curve: sensitivity against false alarms; the dotted line is chance",
    "pr": "Precision and recall; the dotted line is the share of events",
    "calibration": "Calibration: what was predicted against what happened; the dotted line is perfect",
    "decision_curve": "Decision curve: the net benefit of acting on the score, against acting on everyone and on nobody",
    "groups": "By group, with 95 % intervals; what would stand for fewer than 11 persons is not shown",
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
    ("unmapped", "Unmapped"), ("model", "Model"), ("watched", "Watched"), ("worklist", "Worklist"),
)  # fmt: skip


def page(facts: Facts) -> str:
    """The whole page."""
    style = (files("carelake.report") / "style.css").read_text(encoding="utf-8")
    parts = [
        _head(facts),
        section("landed", "What was landed", "files and records of each sender since the lake was made", _landed(facts)),
        section("ledger", "What became of every record", _balance(facts.ledger), _ledger(facts.ledger)),
        section("left-out", "Quarantined and left out, and why", "no value of a record is shown or kept here", _reasons(facts)),
        section("harmonised", "Harmonised", "people linked across senders, and rows of OMOP CDM v5.4", _harmonised(facts)),
        section("quality", "Quality checks", _passed(facts.checks), _quality(facts.checks)),
        section("mapped", "Mapped to standard concepts", "share of events whose code has a standard concept", _coverage(facts)),
        section("unmapped", "Codes without a standard concept", "the first 25 by events; all in gold/unmapped_code", _unmapped(facts)),
        section("model", "Risk model", "how well it did on people that it had not seen", _models(facts)),
        section("watched", "Does it still fit?", "whom it scores against whom it was trained on, and what became of earlier scores", _watched(facts.monitor)),
        section("worklist", "Worklist", f"{number(facts.scored)} people scored as of {facts.as_of}; the first 25 of each model", _worklist(facts)),
    ]  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>carelake report</title><style>{style}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _rule(name: Any) -> str:
    """A rule's name with what it means."""
    words = _WORDS.get(str(name))
    return f"{escaped(name)}<small>{escaped(words)}</small>" if words else escaped(name)


def _count(rows: Rows, column: str) -> int:
    return sum(r[column] or 0 for r in rows)


def _head(f: Facts) -> str:
    persons = next((t["rows"] for t in f.tables if t["table"].endswith("/person")), 0)
    events, mapped = _count(f.coverage, "n_rows"), _count(f.coverage, "n_rows_mapped")
    tiles = [
        ("people", number(persons)), ("records landed", number(_count(f.files, "units"))),
        ("records left out by a rule", number(_count(f.ledger, "rows_excluded"))),
        ("records quarantined", number(_count(f.ledger, "rows_quarantined"))),
        ("of events have a standard concept", f"{100 * mapped / events:.1f} %" if events else "n/a"),
        ("people scored", number(f.scored)),
    ]  # fmt: skip
    notices = []
    if f.synthetic:
        notices.append(
            "The population is <b>synthetic</b> (Synthea); real Fitbit recordings of 2016 were attached to synthetic patients "
            "and moved in time. Nothing here says anything about real people."
        )
    notices += [
        f"The risk model {escaped(m.name)} (version {escaped(m.version)}) is <b>not approved</b>: it failed "
        f"{sum(not g.holds for g in m.gates)} of its {len(m.gates)} gates. Do not act on its scores or on the worklist."
        for m in f.models
        if not m.approved
    ]
    shown = "".join(f"<div><b>{v}</b><span>{k}</span></div>" for k, v in tiles)
    links = " ".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in _SECTIONS)
    return (
        f'<header><h1>carelake report</h1><p class="lead">run {escaped(f.run_id)}, published {escaped(f.published_at)} UTC, '
        f'as of {escaped(f.as_of)}</p><div class="tiles">{shown}</div>{"".join(notice(n) for n in notices)}<nav>{links}</nav></header>'
    )


def _landed(f: Facts) -> str:
    rows = [
        (escaped(r["source"]), escaped(r["format"]), escaped(r["status"]), number(r["files"]), f"{(r['bytes'] or 0) / 1e6:,.2f}", number(r["units"]))
        for r in f.files
    ]  # fmt: skip
    head = ("sender", "format", "status", "files", "MB as sent", "records")
    return table(head, rows, (3, 4, 5), "Nothing was landed yet.")


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
            (
                escaped(r["kind"]),
                escaped(r["stage"]),
                number(r["rows_in"]),
                *[number(r[f"rows_{o}"]) for o in _OUTCOMES],
            )
            for r in lines
        ]
        landed = _count([r for r in lines if r["stage"] == "bronze"], "rows_in")
        kinds = len({r["kind"] for r in lines})
        parts.append(details(
            f"<b>{escaped(source)}</b>: {kinds} {'kind' if kinds == 1 else 'kinds'} of record, {number(landed)} last landed, "
            f"{number(_count(lines, 'rows_excluded'))} left out by a rule, {number(_count(lines, 'rows_quarantined'))} quarantined",
            table(head, rows, range(2, 8)),
        ))  # fmt: skip
    return "".join(parts) or "<p>Nothing was examined yet.</p>"


def _reasons(f: Facts) -> str:
    refused = [r for r in f.reasons if r["severity"] != "excluded"]
    left_out = [r for r in f.reasons if r["severity"] == "excluded"]
    first = table(
        ("sender", "kind", "stage", "outcome", "class", "rule", "records"),
        [
            (*[escaped(r[c]) for c in ("source", "kind", "stage", "severity", "reason")], _rule(r["rule"]), number(r["records"]))
            for r in refused
        ],
        (6,),
        "No record was refused.",
    )  # fmt: skip
    second = table(
        ("sender", "kind", "stage", "rule", "records"),
        [(*[escaped(r[c]) for c in ("source", "kind", "stage")], _rule(r["rule"]), number(r["records"])) for r in left_out],
        (4,),
        "No record was left out.",
    )  # fmt: skip
    bills = sum(r["records"] for r in left_out if r["kind"] == "ExplanationOfBenefit")
    note = (
        f"<p>{number(bills)} ExplanationOfBenefit records landed and are not mapped yet. Those of Medicare from 2014 on may bill "
        "what the claims files bill; those of other payers and earlier years are outside them, and their cost is missing "
        "from every figure here until they are mapped.</p>"
        if bills
        else ""
    )
    return f"<h3>Refused, with a reason</h3>{first}<h3>Left out by a rule</h3>{second}{note}"


def _harmonised(f: Facts) -> str:
    links = table(
        ("sender", "person records joined by", "records"),
        [(escaped(r["source"]), _rule(r["rule"]), number(r["count"])) for r in f.links],
        (2,),
        "Nobody was linked yet.",
    )

    def tables(vocabulary: bool) -> str:
        rows = [
            (escaped(t["table"].removeprefix("silver/omop/")), number(t["rows"]))
            for t in f.tables
            if bool(t.get("vocabulary")) is vocabulary
        ]
        return table(("table", "rows"), rows, (1,))

    return (
        f'<div class="columns"><div>{links}{details("Rows of the vocabulary tables", tables(True))}</div>'
        f"<div>{tables(False)}</div></div>"
    )


def _passed(checks: Rows) -> str:
    """How many of the checks that apply hold."""
    about = [r for r in checks if r["status"] != "not_applicable"]
    held = _count([r for r in about if r["status"] == "pass"], "count")
    return (
        f"{number(held)} of {number(_count(about, 'count'))} checks that apply hold: those of OHDSI's Data Quality Dashboard (all in report/dqd.json, "
        "which its viewer opens), keys, ledger, money, and drift against the run before"
    )


_STATUSES = ("pass", "warn", "fail", "error", "not_applicable")


def _quality(checks: Rows) -> str:
    severities = sorted({r["severity"] for r in checks}, key=lambda s: (s == "drift", s != "fatal", str(s)))
    overview = table(
        ("severity", "hold", "warn", "fail", "could not be made", "do not apply"),
        [
            (escaped(s), *[number(_count([r for r in checks if (r["severity"], r["status"]) == (s, status)], "count")) for status in _STATUSES])
            for s in severities
        ],
        range(1, 6),
        "No check was made yet.",
    )  # fmt: skip
    rows = [
        (
            escaped(r["status"]), escaped(r["severity"]), escaped(r["check_name"]),
            escaped(".".join(str(r[c]) for c in ("table_name", "field_name", "concept_id") if r[c] is not None).removeprefix("silver/omop/")),
            number(r["rows_violating"]), number(r["rows_checked"]),
            f"{100 * r['threshold']:g} %" if r["threshold"] is not None else "",
        )
        for r in checks
        if r["status"] not in ("pass", "not_applicable")
    ]  # fmt: skip
    head = ("outcome", "severity", "check", "of", "rows that break it", "rows", "allowed")
    return f"{overview}<h3>What does not hold</h3>{table(head, rows, (4, 5, 6), 'Every check that applies holds.')}"


def _coverage(f: Facts) -> str:
    by_vocabulary: dict[str, Rows] = {}
    for r in f.coverage:
        by_vocabulary.setdefault(r["vocabulary_id"], []).append(r)
    short = sorted(by_vocabulary.items(), key=lambda x: (-_count(x[1], "n_rows"), x[0]))
    overview = table(
        ("vocabulary", "senders", "events", "events mapped"),
        [
            (escaped(name), escaped(", ".join(sorted({r["source"] for r in rows}))), number(_count(rows, "n_rows")),
             share(_count(rows, "n_rows_mapped"), _count(rows, "n_rows")))
            for name, rows in short
        ],
        (2,),
        "No coded event yet.",
    )  # fmt: skip
    rows = [
        (
            escaped(r["source"]), escaped(r["domain_id"]), escaped(r["vocabulary_id"]), number(r["n_rows"]), share(r["n_rows_mapped"], r["n_rows"]),
            number(r["n_codes"]), share(r["n_codes_mapped"], r["n_codes"]),
        )
        for r in f.coverage
    ]  # fmt: skip
    head = ("sender", "domain", "vocabulary", "events", "events mapped", "codes", "codes mapped")
    return overview + (details("By sender and domain, with codes", table(head, rows, (3, 5))) if rows else "")


def _unmapped(f: Facts) -> str:
    rows = [
        (number(r["rank"]), *[escaped(r[c]) for c in ("source", "vocabulary_id", "code", "source_text", "domain_id")], number(r["n_rows"]))
        for r in f.unmapped
    ]  # fmt: skip
    head = ("rank", "sender", "vocabulary", "code", "in the sender's words", "domain", "events")
    return table(head, rows[:10], (0, 6)) + (
        details(f"{len(rows) - 10} more", table(head, rows[10:], (0, 6))) if len(rows) > 10 else ""
    )


def _models(f: Facts) -> str:
    return "".join(_model(m) for m in f.models) or "<p>No model has been trained yet.</p>"


def _model(m: ModelFacts) -> str:
    verdict = (
        '<p class="ok">Approved: every gate holds.</p>'
        if m.approved
        else notice(
            "<b>Not approved.</b> This version has not passed its gates; its scores are shown for evaluation and must not steer care."
        )
    )
    rows = []
    for key, label in _METRICS:
        if key in m.metrics:
            low, high = m.metrics.get(f"{key}_lower"), m.metrics.get(f"{key}_upper")
            span = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
            rows.append((escaped(label), f"{m.metrics[key]:.3f}", span))
    order = {name: i for i, name in enumerate(PLOTS)}
    pictures = "".join(
        f'<figure><img alt="{escaped(PLOTS.get(name, name))}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{escaped(PLOTS.get(name, name))}</figcaption></figure>"
        for name, data in sorted(m.plots.items(), key=lambda x: (order.get(x[0], len(order)), x[0]))
    )
    asked = f"<p>The question: {escaped(m.target)}.</p>" if m.target else ""
    card = details("Model card", f"<pre>{escaped(m.card)}</pre>") if m.card else ""
    measured = table(("on the test side", "value", "95 % interval, bootstrap by person"), rows, (1,), "Nothing was measured.")  # fmt: skip
    gates = table(("gate", "needs", "value", "outcome"), [_gate(g) for g in m.gates], (2,), "It has no gates.")  # fmt: skip
    return (
        f"<h3>{escaped(m.name)}, version {escaped(m.version)}</h3>{verdict}{asked}"
        f'<div class="columns">{measured}{gates}</div><div class="plots">{pictures}</div>{card}'
    )


def _gate(g: GateFacts) -> tuple[str, str, str, str]:
    return (
        escaped(g.name.replace("_", " ")),
        escaped(g.rule),
        figure(g.value),
        "holds" if g.holds else "<b>fails</b>",
    )


def _watched(monitor: Rows) -> str:
    proposed = sorted({f"{r['model']}: {r['reason']}" for r in monitor if r["reason"]})
    rows = [
        (
            escaped(r["model"]), escaped(r["model_version"]), escaped(r["subject"].replace("_", " ")), escaped(r["index_date"]), number(r["rows"]),
            figure(r["psi"]) if r["psi"] is not None else "",
            "" if r["observed_expected"] is None else f"{r['observed_expected']:.2f} ({figure(r['observed_expected_lower'])} to "
            f"{figure(r['observed_expected_upper'])})",
            escaped(r["status"]) if r["status"] in ("ok", "suppressed") else f"<b>{escaped(r['status'])}</b>",
        )
        for r in monitor
    ]  # fmt: skip
    head = ("model", "version", "what", "scored on", "persons", "PSI", "observed / expected", "status")
    told = "".join(notice(f"<b>A new training is proposed.</b> {escaped(p)}.") for p in proposed)
    return told + table(head, rows, (4, 5), "Nothing has been scored.")


def _worklist(f: Facts) -> str:
    several = len({r["model"] for r in f.worklist}) > 1
    notices = sorted({r["notice"] for r in f.worklist if r["notice"]})
    rows = [
        (
            number(r["rank"]), *([escaped(r["model"])] if several else []), escaped(r["person_id"]), _score(r["score"]),
            "<ul>" + "".join(f"<li>{escaped(x)}</li>" for x in r["reasons"] or []) + "</ul>",
            f'<span class="day">{escaped(r["last_visit_date"])}</span>', escaped(r["next_step"]),
        )
        for r in f.worklist
    ]  # fmt: skip
    head = ("rank", *(["model"] if several else []), "person", "score", "why", "last visit", "next step")
    body = table(head, rows, (0, 3 if several else 2), "Nobody was scored.")
    return "".join(notice(escaped(n)) for n in notices) + body


def _score(score: float) -> str:
    """A probability; what would round to a certainty is not shown as one."""
    return "&gt; 0.999" if score > 0.9995 else "&lt; 0.001" if score < 0.0005 else f"{score:.3f}"
