"""The report page: plain values → one static HTML file that needs no network."""

from __future__ import annotations

import base64
import html
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from carelake.report.facts import Facts, ModelFacts

_OUTCOMES = ("written", "duplicate", "superseded", "excluded", "quarantined")
_METRICS = (
    ("auroc", "AUROC"), ("auprc", "AUPRC"), ("brier", "Brier score"), ("calibration_slope", "Calibration slope"),
    ("calibration_intercept", "Calibration intercept"),
)  # fmt: skip


def page(facts: Facts) -> str:
    """The whole page."""
    style = (files("carelake.report") / "style.css").read_text(encoding="utf-8")
    parts = [
        _head(facts), _section("What was landed", "files and records of each sender", _landed(facts)),
        _section("What became of every record", "each input record has one outcome; the sums balance", _ledger(facts)),
        _section("Quarantined and excluded, and why", "no value of a record is shown or kept here", _reasons(facts)),
        _section("Harmonised", "people linked across senders, and rows of OMOP CDM v5.4", _harmonised(facts)),
        _section("Mapped to standard concepts", "share of rows by sender, domain and vocabulary", _coverage(facts)),
        _section("Codes without a standard concept", "the first 25 by rows; all in gold/unmapped_code", _unmapped(facts)),
        *[_section(f"Model {m.name}", f"version {m.version}", _model(m)) for m in facts.models],
        _section("Worklist", f"{facts.scored} people scored as of {facts.as_of}; the first 25", _worklist(facts)),
    ]  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>carelake report</title><style>{style}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _e(value: Any) -> str:
    return html.escape("" if value is None else str(value))


def _n(value: Any) -> str:
    return "" if value is None else f"{int(value):,}"


def _section(title: str, lead: str, body: str) -> str:
    return f'<section><h2>{_e(title)}</h2><p class="lead">{_e(lead)}</p>{body}</section>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Cells are HTML already; `numbers` are the columns set right."""
    kind = [' class="n"' if i in numbers else "" for i in range(len(head))]
    top = "".join(f"<th{k}>{_e(h)}</th>" for h, k in zip(head, kind, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{c}</td>" for c, k in zip(r, kind, strict=True)) + "</tr>" for r in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _bar(share: float) -> str:
    percent = round(100 * share, 1)
    return f'<span class="bar"><i style="width:{percent}%"></i></span> {percent:g} %'


def _head(f: Facts) -> str:
    persons = next((t["rows"] for t in f.tables if t["table"].endswith("/person")), 0)
    refused = sum(r["rows_quarantined"] for r in f.ledger)
    units = sum(r["units"] or 0 for r in f.files)
    tiles = [
        ("people", _n(persons)),
        ("records landed", _n(units)),
        ("quarantined", _n(refused)),
        ("scored", _n(f.scored)),
    ]
    notice = (
        '<p class="notice">The population is <b>synthetic</b> (Synthea); real Fitbit recordings of 2016 were attached to synthetic '
        "patients and moved in time. Nothing here holds for people.</p>"
        if f.synthetic
        else ""
    )
    shown = "".join(f"<div><b>{v}</b><span>{k}</span></div>" for k, v in tiles)
    return (
        f'<header><h1>carelake report</h1><p class="lead">run {_e(f.run_id)}, published {_e(f.published_at)} UTC, '
        f'as of {_e(f.as_of)}</p><div class="tiles">{shown}</div>{notice}</header>'
    )


def _landed(f: Facts) -> str:
    return _table(
        ("sender", "format", "status", "files", "MB", "records"),
        [
            (
                _e(r["source"]),
                _e(r["format"]),
                _e(r["status"]),
                _n(r["files"]),
                f"{(r['bytes'] or 0) / 1e6:,.1f}",
                _n(r["units"]),
            )
            for r in f.files
        ],
        (3, 4, 5),
    )


def _ledger(f: Facts) -> str:
    rows = [
        (
            _e(r["source"]),
            _e(r["kind"]),
            _e(r["stage"]),
            _n(r["rows_in"]),
            *[_n(r[f"rows_{o}"]) for o in _OUTCOMES],
        )
        for r in f.ledger
    ]
    return f"<details open><summary>{len(rows)} lines</summary>" + _table(
        ("sender", "kind", "stage", "in", *_OUTCOMES), rows, tuple(range(3, 9))
    ) + "</details>"  # fmt: skip


def _reasons(f: Facts) -> str:
    rows = [
        (
            _e(r["source"]),
            _e(r["kind"]),
            _e(r["stage"]),
            _e(r["severity"]),
            _e(r["reason"]),
            _e(r["rule"]),
            _n(r["records"]),
        )
        for r in f.reasons
    ]
    bills = sum(
        r["records"] for r in f.reasons if r["kind"] == "ExplanationOfBenefit" and r["severity"] == "excluded"
    )
    note = (
        f"<p>{_n(bills)} ExplanationOfBenefit records landed and are not mapped yet. Those of Medicare from 2014 on may bill "
        "what the claims files bill; those of other payers and earlier years are outside them, and their cost is missing "
        "from every figure here until they are mapped.</p>"
        if bills
        else ""
    )
    return (
        _table(("sender", "kind", "stage", "outcome", "class", "rule", "records"), rows, (6,))
        if rows
        else "<p>None.</p>"
    ) + note


def _harmonised(f: Facts) -> str:
    links = _table(
        ("sender", "linked by", "records"),
        [(_e(r["source"]), _e(r["rule"]), _n(r["count"])) for r in f.links],
        (2,),
    )
    tables = _table(
        ("table", "rows"),
        [(_e(r["table"].removeprefix("silver/omop/")), _n(r["rows"])) for r in f.tables],
        (1,),
    )
    return f'<div class="columns">{links}{tables}</div>'


def _coverage(f: Facts) -> str:
    rows = [
        (
            _e(r["source"]), _e(r["domain_id"]), _e(r["vocabulary_id"]), _n(r["n_rows"]),
            _bar(r["n_rows_mapped"] / r["n_rows"] if r["n_rows"] else 0.0), _n(r["n_codes"]),
            _bar(r["n_codes_mapped"] / r["n_codes"] if r["n_codes"] else 0.0),
        )
        for r in f.coverage
    ]  # fmt: skip
    return _table(
        ("sender", "domain", "vocabulary", "rows", "rows mapped", "codes", "codes mapped"), rows, (3, 5)
    )


def _unmapped(f: Facts) -> str:
    rows = [
        (
            _n(r["rank"]),
            _e(r["source"]),
            _e(r["vocabulary_id"]),
            _e(r["code"]),
            _e(r["source_text"]),
            _e(r["domain_id"]),
            _n(r["n_rows"]),
        )
        for r in f.unmapped
    ]
    return (
        _table(("rank", "sender", "vocabulary", "code", "in words", "domain", "rows"), rows, (0, 6))
        if rows
        else "<p>None.</p>"
    )


def _model(m: ModelFacts) -> str:
    verdict = (
        '<p class="ok">Approved: every gate holds.</p>'
        if m.approved
        else '<p class="notice"><b>Not approved.</b> This version has not passed its gates; its scores are shown for evaluation '
        "and must not steer care.</p>"
    )
    rows = []
    for key, label in _METRICS:
        if key in m.metrics:
            low, high = m.metrics.get(f"{key}_lower"), m.metrics.get(f"{key}_upper")
            span = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
            rows.append((_e(label), f"{m.metrics[key]:.3f}", span))
    gates = [(_e(name), "holds" if held else "<b>fails</b>") for name, held in m.gates]
    pictures = "".join(
        f'<figure><img alt="{_e(name)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{_e(name)}</figcaption></figure>"
        for name, data in sorted(m.plots.items())
    )
    card = f"<details><summary>Model card</summary><pre>{_e(m.card)}</pre></details>" if m.card else ""
    return (
        verdict + '<div class="columns">' + _table(("metric", "value", "95 % interval, bootstrap by person"), rows, (1,))
        + _table(("gate", "outcome"), gates) + f'</div><div class="plots">{pictures}</div>{card}'
    )  # fmt: skip


def _worklist(f: Facts) -> str:
    notices = sorted({r["notice"] for r in f.worklist if r["notice"]})
    rows = [
        (
            _n(r["rank"]), _e(r["person_id"]), f"{r['score']:.3f}",
            "<ul>" + "".join(f"<li>{_e(x)}</li>" for x in r["reasons"] or []) + "</ul>", _e(r["last_visit_date"]), _e(r["next_step"]),
        )
        for r in f.worklist
    ]  # fmt: skip
    warn = "".join(f'<p class="notice">{_e(n)}</p>' for n in notices)
    if not rows:
        return warn + "<p>Nobody was scored.</p>"
    return warn + _table(("rank", "person", "score", "why", "last visit", "next step"), rows, (0, 2))
