"""Pieces of HTML that the report is made of."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def escaped(value: Any) -> str:
    """Text of a page."""
    return html.escape("" if value is None else str(value))


def number(value: Any) -> str:
    """A whole number with its thousands set apart; nothing for None."""
    return "" if value is None else f"{int(value):,}"


def section(anchor: str, title: str, lead: str, body: str) -> str:
    """A section of the page; `body` is HTML already."""
    return (
        f'<section id="{anchor}"><h2>{escaped(title)}</h2><p class="lead">{escaped(lead)}</p>{body}</section>'
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = (), empty: str = "None."
) -> str:
    """Cells are HTML already; `numbers` are the columns set right; without rows the sentence `empty` stands there."""
    kind = [' class="n"' if i in numbers else "" for i in range(len(head))]
    top = "".join(f"<th{k}>{escaped(h)}</th>" for h, k in zip(head, kind, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{c}</td>" for c, k in zip(r, kind, strict=True)) + "</tr>" for r in rows
    )
    if not body:
        return f"<p>{escaped(empty)}</p>"
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def details(summary: str, body: str) -> str:
    """What is folded away; both are HTML already."""
    return f"<details><summary>{summary}</summary>{body}</details>"


def share(part: int, whole: int) -> str:
    """A bar and a percentage, which is 100 only when nothing is missing and 0 only when nothing is there."""
    if not whole:
        return ""
    percent = 100 * part / whole
    shown = f"{min(max(round(percent, 1), 0.1), 99.9):g}" if 0 < part < whole else f"{percent:g}"
    return (
        f'<span class="share"><span class="bar"><i style="width:{percent:.1f}%"></i></span>{shown} %</span>'
    )


def notice(body: str) -> str:
    """`body` is HTML already."""
    return f'<p class="notice">{body}</p>'


def figure(value: float | None) -> str:
    """At most three decimals; a metric that could not be computed is n/a."""
    if value is None or math.isnan(value):
        return "n/a"
    return f"{value:.0f}" if value == int(value) else f"{value:.3f}"
