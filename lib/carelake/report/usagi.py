"""The worklist of unmapped codes as Usagi imports it (File, Import codes), and other mapping tools do.

It leaves the lake, so it holds nothing that may speak of one person: only codes of a code system, local ones too since
nobody but the site can map them, that at least FLOOR persons have; and of their words only those that as many persons'
records share, else the vocabulary's own name of the code, else the code. Events in words alone are never in it.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from carelake.gold.unmapped_code import UNMAPPED_CODE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carelake.core.lake import DeltaLake

PLACE = "report/usagi.csv"
FLOOR = 11  # the cell size policy of CMS: no count from 1 to 10 is shown
MOST = 20_000  # codes; nobody maps more by hand
# Chosen as additional information on import, the vocabulary comes back in what Usagi saves: see local_rows.
COLUMNS = (
    "sourceCode",
    "sourceName",
    "sourceFrequency",
    "sourceVocabularyId",
    "sourceConceptId",
    "domainId",
    "persons",
)


def write(lake: DeltaLake) -> str:
    """Write `report/usagi.csv` of the lake from gold/unmapped_code; returns its URI."""
    rows = (
        lake.read(UNMAPPED_CODE)
        .where(f"n_persons >= {FLOOR} AND code IS NOT NULL AND vocabulary_id <> 'None'")
        .orderBy("rank")
        .limit(MOST)
    )
    lake.storage.write_text(PLACE, text(r.asDict() for r in rows.collect()))
    return lake.storage.path(PLACE)


def text(unmapped: Iterable[Mapping[str, Any]]) -> str:
    """The CSV from rows of gold/unmapped_code: one line per vocabulary and code, the most frequent first.

    Rows are added up over senders and domains; persons are the most of any one, since a person may be in several.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for r in sorted(unmapped, key=lambda r: r["rank"]):
        if r["code"] is None or r["vocabulary_id"] in (None, "None") or r["n_persons"] < FLOOR:
            continue
        line = found.setdefault(
            (r["vocabulary_id"], r["code"]),
            dict.fromkeys(COLUMNS)
            | {"sourceCode": r["code"], "sourceVocabularyId": r["vocabulary_id"], "domainId": r["domain_id"]}
            | {"sourceFrequency": 0, "persons": 0, "sourceConceptId": 0},
        )
        shared = r["source_text"] if (r["n_persons_text"] or 0) >= FLOOR else None
        line["sourceName"] = line["sourceName"] or r["source_concept_name"] or shared
        line["sourceFrequency"] += r["n_rows"]
        line["persons"] = max(line["persons"], r["n_persons"])
        line["sourceConceptId"] = max(line["sourceConceptId"], r["source_concept_id"])
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    order = sorted(
        found.values(), key=lambda x: (-x["sourceFrequency"], x["sourceVocabularyId"], x["sourceCode"])
    )
    # Usagi reads the frequency as a 32-bit integer and asks for a name
    writer.writerows(
        x
        | {
            "sourceName": x["sourceName"] or x["sourceCode"],
            "sourceFrequency": min(x["sourceFrequency"], 2**31 - 1),
        }
        for x in order
    )
    return out.getvalue()
