"""What all contracts share: codings, the kind of data, and the columns that say where a record came from."""

from __future__ import annotations

from carelake.core.table import Field

CODING = "array<struct<system:string,code:string,display:string,user_selected:boolean>>"

LINEAGE = (
    Field("_source", "string", "The sender's name", required=True),
    Field("_kind", "string", "Kind of the bronze record", required=True),
    Field("_record", "bigint", "Bronze record id", required=True),
    Field("_part", "int", "Number of this row among those made from the record, from 0", required=True),
    Field("_file", "string", "File below the landed path"),
    Field("_byte_offset", "bigint", "First byte of the record in the decompressed file"),
    Field("_record_no", "bigint", "Number of the record in its file, from 1"),
)

EHR = 32817  # OMOP type concept: EHR


def coding(system: str, code: str, display: str = "cast(NULL AS string)") -> str:
    """SQL of one element of CODING, from SQL of its parts."""
    return (
        f"named_struct('system', {system}, 'code', {code}, 'display', {display}, "
        "'user_selected', cast(NULL AS boolean))"
    )


def type_concept(otherwise: int) -> str:
    """SQL of the sender's type concept; where that is plain EHR or none, the more exact one of the record's kind."""
    given = f"coalesce(sender.type_concept_id, {EHR})"
    return f"CASE WHEN {given} = {EHR} THEN {otherwise} ELSE {given} END"
