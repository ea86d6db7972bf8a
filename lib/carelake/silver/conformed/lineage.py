"""Columns that every contract ends with: where the record came from."""

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
