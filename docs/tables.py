"""Render docs/tables.md from the declared tables: `make docs`. A test in tests/architecture keeps it true."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from carelake.bronze.table import bronze_table
from carelake.catalog import catalog
from carelake.core.step import Setting
from carelake.silver.omop.cdm import cdm_table

if TYPE_CHECKING:
    from carelake.catalog import Catalog
    from carelake.core.table import Table

PAGE = Path(__file__).with_name("tables.md")
SENDER = r"\<sender\>"  # not a tag of HTML

# Tables of the CDM that no step writes, and why.
NOT_WRITTEN = {
    "cohort": "of the results schema: `gold/cohort` has its columns",
    "cohort_definition": "of the results schema: `gold/cohort_definition` has its columns",
}

# What is written outside the plan of steps; ops/* by the run log.
ELSEWHERE = {
    "silver/conformed/version": "`silver/conformed/conform.py` (version_step), from every `bronze/<sender>`",
    "silver/link/person_history": "`pipeline.py`, from `silver/link/person` before and after the run",
    "silver/link/concept_change": "`pipeline.py`, from `silver/link/event` before and after a run that mapped anew",
    "gold/risk_score": "`learning.py`, from the predictions of `models/*` on their cohort and features",
    "gold/score_history": "`learning.py`, from `gold/risk_score` of each run and what was published before",
    "gold/model_monitor": "`learning.py`, from the training reference of `models/*`, those scored, and outcomes that became known",
}

HEAD = """# Tables

Made by `make docs` from the declarations in `lib/carelake`; do not edit. Every table of silver and gold also carries `_run`, the run
that wrote the row. *phi* names the Safe Harbor class of a column. A row that fails a check is quarantined with its reason, unless
the check says `warn` or `stop`; a check passes on NULL, absence is judged by *required* alone.
"""


def writer(table: Table, known: Catalog) -> str:
    """Who writes a table, and from what. Raises ValueError when nobody is known to."""
    if table.name.startswith("bronze/"):
        return "`bronze/land.py`, from the files of a sender"
    if table.name.startswith("ops/"):
        return "`core/runlog.py` and the stages that report to it"
    if table.name in ELSEWHERE:
        return ELSEWHERE[table.name]
    if table.name in known.contracts:
        by = [
            f"`sources/{source.format}` {m.name} ({', '.join(m.kinds)})"
            for source in (known.sources[name] for name in sorted(known.sources))
            for m in source.mappings
            if m.into is table
        ]
        return f"`silver/conformed/conform.py`, which unites the mappings {'; '.join(by) or '(none yet)'}"
    step = known.steps.get(table.name)
    if step is None:
        raise ValueError(f"who writes {table.name}? say it in ELSEWHERE of docs/tables.py")
    settings = sorted(i.name for i in step.inputs.values() if isinstance(i, Setting))
    made_from = [f"`{t.name}`" for t in sorted(step.reads, key=lambda t: t.name)]
    made_from += [f"the setting {name}" for name in settings]
    module = step.transform.__module__.removeprefix("carelake.").replace(".", "/")
    return f"`{module}.py`, from {', '.join(made_from)}"


def section(table: Table, known: Catalog, name: str | None = None) -> list[str]:
    """The lines about one table."""
    lines = [f"### {name or table.name}", "", table.doc, ""]
    lines += [f"- key: {', '.join(table.key)}", f"- written by {writer(table, known)}"]
    if table.empty_because:
        lines.append(f"- **empty**: {table.empty_because}")
    for check in table.checks:
        lines.append(f"- check {check.name} ({check.on_fail}, {check.reason}): `{check.holds}`")
    lines += ["", "| column | type | required | phi | meaning |", "|---|---|---|---|---|"]
    for f in table.fields:
        meaning = f.doc + (f" → {f.references}" if f.references else "")
        cells = (f.name, f.type, "yes" if f.required else "", f.phi or "", meaning)
        lines.append(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in cells)} |")
    return [*lines, ""]


def render(known: Catalog) -> str:
    """The whole page. Raises ValueError when NOT_WRITTEN names a table that is written or none of the CDM's."""
    late = [name for name in NOT_WRITTEN if cdm_table(name).name in known.declared]
    if late:
        raise ValueError(f"NOT_WRITTEN of docs/tables.py lists {', '.join(late)}, which a step writes")
    lines = [HEAD, "## bronze", "", *section(bronze_table("sender"), known, f"bronze/{SENDER}")]
    stages = ("silver/conformed", "silver/link", "silver/vocabulary", "silver/omop", "gold", "ops")
    for stage in stages:
        lines += [f"## {stage}", ""]
        for name in sorted(n for n in known.declared if n.startswith(f"{stage}/")):
            lines += section(known.declared[name], known)
        if stage == "silver/omop":
            lines += ["### Not written here", "", "| table of the CDM | why |", "|---|---|"]
            lines += [f"| {name} | {why} |" for name, why in NOT_WRITTEN.items()] + [""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(catalog()), encoding="utf-8")
    print(PAGE)
