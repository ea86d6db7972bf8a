"""The contract of a claim's line beside that of its claim."""

from carelake.silver.conformed.claim import CLAIM
from carelake.silver.conformed.claim_line import CLAIM_LINE


def test_a_line_is_a_number_within_its_claim():
    assert CLAIM.key == ("_source", "source_claim_id")
    assert CLAIM_LINE.key == ("_source", "source_claim_id", "line_no")


def test_money_of_lines_and_claims_is_of_one_type():
    money = {"charge", "allowed", "paid_by_payer", "paid_by_patient"}
    for table in (CLAIM, CLAIM_LINE):
        types = {f.name: f.type for f in table.fields if f.name in money}
        assert types == dict.fromkeys(money, "decimal(18,2)"), table.name


def test_a_line_without_person_claim_or_number_is_quarantined():
    needed = {f.name: f.reason for f in CLAIM_LINE.fields if f.required and not f.name.startswith("_")}
    assert needed == {"source_person_id": "R_REF", "source_claim_id": "R_ID", "line_no": "R_ID"}
