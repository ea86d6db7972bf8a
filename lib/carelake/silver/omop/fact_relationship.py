"""silver/omop/fact_relationship: what senders say of two facts together (OMOP_RULES 19; CDM v5.4 FACT_RELATIONSHIP)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.core.step import step
from carelake.silver.link.reason import reasons
from carelake.silver.link.tables import EVENT_LINK
from carelake.silver.omop.cdm import cdm_table
from carelake.silver.vocabulary import structural as C

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FACT_RELATIONSHIP = cdm_table(
    "fact_relationship",
    key=("domain_concept_id_1", "fact_id_1", "domain_concept_id_2", "fact_id_2", "relationship_concept_id"),
    types={"fact_id_1": "bigint", "fact_id_2": "bigint"},
    of_person=True,
)

_DOMAINS = {
    "Condition": C.DOMAIN_CONDITION,
    "Procedure": C.DOMAIN_PROCEDURE,
    "Drug": C.DOMAIN_DRUG,
    "Device": C.DOMAIN_DEVICE,
    "Measurement": C.DOMAIN_MEASUREMENT,
    "Observation": C.DOMAIN_OBSERVATION,
    "Specimen": C.DOMAIN_SPECIMEN,
}


def _domain(name: str) -> str:
    return f"CASE {name} {' '.join(f'WHEN {d!r} THEN {c}' for d, c in _DOMAINS.items())} END"


@step(writes=FACT_RELATIONSHIP, events=EVENT_LINK)
def fact_relationship(events: DataFrame) -> DataFrame:
    """Each relationship twice, once from either side, as the CDM asks; fact_id is the key in the table of its domain.

    - A report or panel and the results that it consists of, where both are measurements: parent and child.
    - What was done, given or ordered and the condition that it was for: associated with the finding (the CDM's
      "indication relationship"). A plan of care has its conditions in episode_event instead.

    A claim's relationship to its visit is cost.cost_event_id; a rolled-up encounter's to its stay is
    visit_detail.parent_visit_detail_id: neither is told a second time. No sender tells of relatives.
    """
    indicated = (
        reasons(events)
        .where("domain_id <> 'Episode'")
        .selectExpr(
            f"{_domain('domain_id')} AS domain_1",
            "event_id AS fact_1",
            f"{_domain('reason_domain_id')} AS domain_2",
            "reason_id AS fact_2",
            f"{C.ASSOCIATED_WITH_FINDING} AS forth",
            f"{C.FINDING_ASSOCIATED_WITH} AS back",
            "person_id AS _person_id",
            "_source",
            "_record",
        )
    )
    both = indicated.union(_parts(events)).distinct()
    sides = (
        "struct(domain_1 AS d1, fact_1 AS f1, domain_2 AS d2, fact_2 AS f2, forth AS kind), "
        "struct(domain_2 AS d1, fact_2 AS f1, domain_1 AS d2, fact_1 AS f2, back AS kind)"
    )
    return both.selectExpr("_person_id", "_source", "_record", f"inline(array({sides}))").selectExpr(
        "d1 AS domain_concept_id_1", "f1 AS fact_id_1", "d2 AS domain_concept_id_2", "f2 AS fact_id_2",
        "kind AS relationship_concept_id", "_person_id", "_source", "_record",
    )  # fmt: skip


def _parts(events: DataFrame) -> DataFrame:
    """Measurements that consist of others, with each of those; same columns as above."""
    kept = events.where("domain_id = 'Measurement' AND excluded IS NULL")
    parents = kept.where("size(member_ids) > 0").selectExpr(
        "_source", "person_id", "_record", "event_id AS parent", "explode(member_ids) AS source_event_id"
    )
    children = kept.selectExpr("_source", "person_id", "source_event_id", "event_id AS child")
    return (
        parents.join(children, ["_source", "person_id", "source_event_id"], how="inner")
        .where("parent <> child")
        .selectExpr(
            f"{C.DOMAIN_MEASUREMENT} AS domain_1", "parent AS fact_1", f"{C.DOMAIN_MEASUREMENT} AS domain_2",
            "child AS fact_2", f"{C.PARENT_TO_CHILD_MEASUREMENT} AS forth", f"{C.CHILD_TO_PARENT_MEASUREMENT} AS back",
            "person_id AS _person_id", "_source", "_record",
        )
    )  # fmt: skip
