"""Synthea's CSV: claims and their transactions. `synthea_csv` declares the mappings.

A claim's transactions tell its money in order (CHARGEID): a CHARGE to its first payer, PAYMENTs, and what is left handed
on by TRANSFERIN to the second payer (`2`) or the patient (`p`). Each claim balances: charged = paid by all. The totals
of encounters.csv (TOTAL_CLAIM_COST, PAYER_COVERAGE) are other figures, and costs of medications stand in both: what is
kept here is the transactions alone, so that nothing is counted twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.delimited import fields
from carelake.silver.conformed import clock
from carelake.silver.conformed.lineage import CODING, coding

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_MONEY = "decimal(18,2)"

# Type of a claim and its type concept: institutional (2) by the class of its encounter, else professional.
_KINDS = {
    "inpatient": ("inpatient", 32855),
    "snf": ("skilled_nursing", 32846),
    "hospice": ("hospice", 32846),
    "home": ("home_health", 32846),
}
_OTHER_INSTITUTION, _PROFESSIONAL = ("outpatient", 32861), ("professional", 32873)


def _of(rows: DataFrame, kind: str, *columns: str) -> DataFrame:
    """A kind's records with some of the file's columns, by sender."""
    read = fields(rows.where(f"kind = '{kind}'"), columns, sep=",", quoted=True)
    return read.selectExpr("*", "sender.name AS _sender")


def _kind(part: int) -> str:
    cases = " ".join(f"WHEN '{k}' THEN {v[part]!r}" for k, v in _KINDS.items())
    institution = f"CASE lower(ENCOUNTERCLASS) {cases} ELSE {_OTHER_INSTITUTION[part]!r} END"
    return f"CASE WHEN HEALTHCARECLAIMTYPEID1 = '2' THEN {institution} ELSE {_PROFESSIONAL[part]!r} END"


def _money(rows: DataFrame) -> DataFrame:
    """_sender, CLAIMID, charge, and paid1, paid2, paidp by who paid; second: whether a second payer was asked."""
    columns = ("CLAIMID", "CHARGEID", "TYPE", "AMOUNT", "PAYMENTS", "TRANSFERTYPE", "TODATE")
    order = "PARTITION BY _sender, CLAIMID ORDER BY try_cast(CHARGEID AS bigint), record_key"
    turned = _of(rows, "claims_transactions", *columns).selectExpr(
        "*",
        "last_value(CASE WHEN TYPE IN ('CHARGE', 'TRANSFERIN') THEN TRANSFERTYPE END, true) "
        f"OVER ({order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS who",
    )

    def paid(who: str) -> str:
        some = f"TYPE = 'PAYMENT' AND who = '{who}'"
        return f"coalesce(sum(CASE WHEN {some} THEN try_cast(PAYMENTS AS {_MONEY}) END), 0) AS paid{who}"

    sums = (
        f"sum(CASE WHEN TYPE = 'CHARGE' THEN try_cast(AMOUNT AS {_MONEY}) END) AS charge",
        paid("1"), paid("2"), paid("p"), "bool_or(who = '2') AS second", f"max({clock.day('TODATE')}) AS until",
    )  # fmt: skip
    return turned.groupBy("_sender", "CLAIMID").agg(*[F.expr(s) for s in sums])


def concerned(own: DataFrame, changed: DataFrame) -> DataFrame:
    """Claims (bronze records) of which a transaction, the encounter or a payer is among the changed records."""

    def said(frame: DataFrame, *columns: str) -> DataFrame:
        return fields(frame, columns, sep=",", quoted=True)

    named = said(changed, "CLAIMID").selectExpr(
        "CASE kind WHEN 'claims_transactions' THEN concat('claim|', CLAIMID) ELSE concat(kind, '|', record_key) END AS _named"
    )
    ways = (
        "concat('claim|', record_key)", "concat('encounters|', APPOINTMENTID)",
        "concat('payers|', PRIMARYPATIENTINSURANCEID)", "concat('payers|', SECONDARYPATIENTINSURANCEID)",
    )  # fmt: skip
    asked = said(own, "APPOINTMENTID", "PRIMARYPATIENTINSURANCEID", "SECONDARYPATIENTINSURANCEID").selectExpr(
        "*", f"explode(array({', '.join(ways)})) AS _named"
    )
    found = asked.join(named.distinct(), "_named", how="left_semi")
    return found.select(*own.columns).dropDuplicates(["file", "byte_offset", "ingested_at"])


def of_payers(own: DataFrame, changed: DataFrame) -> DataFrame:
    """Payer transitions (bronze records) to one of the changed payers."""
    payers = changed.selectExpr("record_key AS PAYER").distinct()
    asked = fields(own, ("PAYER",), sep=",", quoted=True)
    return asked.join(payers, "PAYER", how="left_semi").select(*own.columns)


def claims(rows: DataFrame) -> DataFrame:
    """One row per payer that answered a claim: the second has the claim's id with `|2`, and no charge of its own.

    The patient's part stands with the payer that left it. A claim without transactions (an export may leave them out)
    says nothing of money and is left out.
    """
    header = _of(
        rows, "claims", "ID", "PATIENTID", "PROVIDERID", "APPOINTMENTID", "SERVICEDATE", "PRIMARYPATIENTINSURANCEID",
        "SECONDARYPATIENTINSURANCEID", "LASTBILLEDDATE1", "LASTBILLEDDATE2", "HEALTHCARECLAIMTYPEID1",
    )  # fmt: skip
    payers = _of(rows, "payers", "ID", "NAME").selectExpr("_sender", "ID AS _payer_id", "NAME AS _payer")
    classes = _of(rows, "encounters", "ID", "ENCOUNTERCLASS").selectExpr(
        "_sender", "ID AS APPOINTMENTID", "ENCOUNTERCLASS"
    )
    money = _money(rows).withColumnRenamed("CLAIMID", "ID")
    answers = (
        header.join(money, ["_sender", "ID"], how="left")
        .join(classes.distinct(), ["_sender", "APPOINTMENTID"], how="left")
        .selectExpr("*", "explode(CASE WHEN second THEN array(0, 1) ELSE array(0) END) AS _part")
        .selectExpr(
            "*",
            "CASE _part WHEN 0 THEN PRIMARYPATIENTINSURANCEID ELSE SECONDARYPATIENTINSURANCEID END AS _payer_id",
            "_part = int(coalesce(second, false)) AS _last",
        )
        .join(payers.distinct(), ["_sender", "_payer_id"], how="left")
    )
    start = clock.day("SERVICEDATE")
    return answers.selectExpr(
        "PATIENTID AS source_person_id", "CASE _part WHEN 0 THEN ID ELSE concat(ID, '|2') END AS source_claim_id",
        f"{_kind(0)} AS claim_type", "APPOINTMENTID AS source_encounter_id", f"{start} AS start_date",
        f"greatest({start}, until) AS end_date",
        f"CASE _part WHEN 0 THEN {clock.day('LASTBILLEDDATE1')} ELSE {clock.day('LASTBILLEDDATE2')} END AS paid_date",
        "CASE _part WHEN 0 THEN charge END AS charge", "CASE _part WHEN 0 THEN paid1 ELSE paid2 END AS paid_by_payer",
        "CASE WHEN _last THEN paidp END AS paid_by_patient", "coalesce(_payer, _payer_id, 'NO_INSURANCE') AS payer",
        "PROVIDERID AS source_provider_id", f"{_kind(1)} AS type_concept_id", "_part",
        f"array({clock.bad_date('servicedate', 'SERVICEDATE')}, "
        "CASE WHEN charge < paid1 + paid2 + paidp THEN 'R_BALANCE:paid_more_than_charged' END) AS _problems",
        "CASE WHEN ID IS NOT NULL AND charge IS NULL THEN 'no_transactions' END AS _excluded", "_at",
    )  # fmt: skip


def claim_lines(rows: DataFrame) -> DataFrame:
    """What was charged. Payments and transfers are summed into their claim.

    A procedure's code is of SNOMED CT, a drug's of RxNorm; the row does not say which, so the code has no system.
    """
    columns = (
        "CLAIMID", "CHARGEID", "PATIENTID", "TYPE", "AMOUNT", "FROMDATE", "TODATE", "PROCEDURECODE", "UNITS", "NOTES",
        "PROVIDERID",
    )  # fmt: skip
    one = coding("cast(NULL AS string)", "PROCEDURECODE", "NOTES")
    charge = f"try_cast(AMOUNT AS {_MONEY})"
    return _of(rows, "claims_transactions", *columns).selectExpr(
        "PATIENTID AS source_person_id", "CLAIMID AS source_claim_id", "try_cast(CHARGEID AS int) AS line_no",
        f"{clock.day('FROMDATE')} AS start_date", f"{clock.day('TODATE')} AS end_date",
        f"cast(CASE WHEN PROCEDURECODE IS NOT NULL THEN array({one}) ELSE array() END AS {CODING}) AS codings",
        "try_cast(UNITS AS double) AS quantity", f"{charge} AS charge", "PROVIDERID AS source_provider_id",
        f"array({clock.bad_date('fromdate', 'FROMDATE')}, {clock.bad_date('todate', 'TODATE')}, "
        f"CASE WHEN TYPE = 'CHARGE' AND {charge} IS NULL THEN 'R_TYPE:amount' END) AS _problems",
        "CASE WHEN TYPE <> 'CHARGE' THEN 'summed_into_claim' END AS _excluded", "_at",
    )  # fmt: skip
