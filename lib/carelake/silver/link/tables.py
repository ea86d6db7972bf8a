"""The link tables: who is the same person, which encounters are one visit, what each event means."""

from __future__ import annotations

from carelake.core.table import Check, Field, Table
from carelake.silver.conformed.event import EVENT

PERSON_LINK = Table(
    name="silver/link/person",
    doc="One row per person record of a sender: which person it is, by which rule, how sure.",
    fields=(
        Field("source", "string", "Sender", required=True),
        Field("source_person_id", "string", "The sender's id of the person", required=True, phi="MRN"),
        Field("person_id", "bigint", "The person", required=True),
        Field(
            "rule",
            "string",
            "Rule of the link that joined this record to the others: self, shared_identifier, enrollment, name_birth_sex_zip",
            required=True,
        ),
        Field("score", "double", "1.0 for deterministic rules", required=True),
        Field(
            "linked_source",
            "string",
            "Sender of the record that it was joined to; NULL for the person's first record",
        ),
        Field("linked_source_person_id", "string", "Id of that record", phi="MRN"),
    ),
    key=("source", "source_person_id"),
)

VISIT_LINK = Table(
    name="silver/link/visit",
    doc="One row per encounter of a sender: which visit and which visit detail it became.",
    fields=(
        Field("source", "string", "Sender", required=True),
        Field("source_encounter_id", "string", "The sender's id of the encounter", required=True),
        Field("visit_occurrence_id", "bigint", "The visit", required=True),
        Field("visit_detail_id", "bigint", "The visit detail", required=True),
        Field(
            "rule",
            "string",
            "self, merged_inpatient, emergency_to_inpatient, emergency_same_start, outpatient_same_day, rolled_into_stay, "
            "same_day (other classes), merged_contiguous (stays outside hospital, visits past midnight that overlap)",
            required=True,
        ),
        Field("score", "double", "1.0 for deterministic rules", required=True),
        Field("person_id", "bigint", "The person", required=True),
        Field("visit_concept_id", "int", "Concept of the visit", required=True),
        Field("detail_concept_id", "int", "Concept of the detail", required=True),
        Field("visit_start_datetime", "timestamp_ntz", "Start of the visit, local clock", required=True),
        Field("visit_end_datetime", "timestamp_ntz", "End of the visit, local clock", required=True),
        Field("detail_start_datetime", "timestamp_ntz", "Start of the detail, local clock", required=True),
        Field("detail_end_datetime", "timestamp_ntz", "End of the detail, local clock", required=True),
        Field(
            "end_is_extract_date",
            "boolean",
            "True where the encounter was still open at the extract",
            required=True,
        ),
        Field(
            "parent_visit_detail_id",
            "bigint",
            "Of an encounter rolled into a hospital stay: the inpatient detail that it belongs to; else NULL",
        ),
        Field(
            "planned",
            "boolean",
            "Whether the encounter was an elective admission; NULL when the sender does not say",
        ),
        Field("_record", "bigint", "Bronze record id of the encounter", required=True),
    ),
    key=("source", "source_encounter_id"),
)

_CARRIED = tuple(
    f
    for f in EVENT.fields
    if f.name
    not in {
        "codings",
        "code_text",
        "value_codings",
        "value_sent",
        "_file",
        "_byte_offset",
        "_record_no",
        "_kind",
        "unit_system",
    }
)

EVENT_LINK = Table(
    name="silver/link/event",
    doc="One row per conformed event and standard concept that it maps to: person, visit, provider, concepts, domain. "
    "Events whose person is not known yet are not here (they wait).",
    fields=(
        Field(
            "event_id",
            "bigint",
            "Id from (source, record key, part, target number); OMOP tables use it as their key",
            required=True,
        ),
        Field("person_id", "bigint", "The person", required=True),
        Field("visit_occurrence_id", "bigint", "The visit of its encounter"),
        Field("visit_detail_id", "bigint", "The visit detail of its encounter"),
        Field("provider_id", "bigint", "OMOP provider id"),
        Field(
            "domain_id",
            "string",
            "Domain by the standard concept, else by the source concept, else the hint: Condition, Procedure, Drug, Measurement, "
            "Observation, Device, Specimen; Episode for plans of care",
            required=True,
        ),
        Field("concept_id", "int", "Standard concept, 0 when there is none", required=True),
        Field("source_concept_id", "int", "Concept of the source code, 0 when there is none", required=True),
        Field("source_value", "string", "The source code verbatim, else the words"),
        Field(
            "source_vocabulary_id", "string", "OMOP vocabulary of the source code, else its system as sent"
        ),
        Field(
            "source_display",
            "string",
            "The sender's words for the source code, kept where it has no standard concept",
        ),
        Field(
            "target_no",
            "int",
            "Number of this target among those of a one-to-many map, from 0",
            required=True,
        ),
        Field("value_as_concept_id", "int", "Coded result: NULL no coded value, 0 unmapped"),
        Field("value_source_value", "string", "Value verbatim: number, code or words"),
        Field("unit_concept_id", "int", "Unit: NULL no unit, 0 unmapped"),
        Field("unit_source_concept_id", "int", "Concept of the unit as sent"),
        Field("unit_source_value", "string", "Unit verbatim"),
        Field("route_concept_id", "int", "Route: NULL none, 0 unmapped"),
        Field("route_source_value", "string", "Route verbatim"),
        Field("modifier_source_value", "string", "Procedure modifiers verbatim, comma-separated"),
        Field(
            "excluded",
            "string",
            "Rule under which this event is in no OMOP table (fulfilled_by_administration, before_birth), else NULL",
        ),
        *_CARRIED,
    ),
    key=("event_id",),
    checks=(Check("event_id_positive", "event_id >= 0"),),
    partition_by=("domain_id",),
)

PERSON_HISTORY = Table(
    name="silver/link/person_history",
    doc="Every change of the person that a sender's record belongs to: the id before and after.",
    fields=(
        Field("source", "string", "Sender", required=True),
        Field("source_person_id", "string", "The sender's id of the person", required=True, phi="MRN"),
        Field("person_id_before", "bigint", "The person before; NULL when first seen"),
        Field("person_id", "bigint", "The person after; NULL when the record went away"),
        Field("rule", "string", "Rule of the link after the change"),
        Field("changed_at", "timestamp", "When the run began that saw the change", required=True),
    ),
    key=("source", "source_person_id", "changed_at"),
)

PROVIDER_LINK = Table(
    name="silver/link/provider",
    doc="One row per way in which a sender's records name a provider (its id or an alias): which provider that is. "
    "A reference that would name two providers of the sender is absent.",
    fields=(
        Field("source", "string", "Sender", required=True),
        Field(
            "reference",
            "string",
            "The sender's id of the provider, or an alias (`system|value`, NPI)",
            required=True,
        ),
        Field("provider_id", "bigint", "The provider (silver/omop/provider)", required=True),
    ),
    key=("source", "reference"),
)

FACILITY_LINK = Table(
    name="silver/link/facility",
    doc="One row per way in which a sender's records name a facility (its id or an alias): which care site and place that is. "
    "A reference that would name two facilities of the sender is absent.",
    fields=(
        Field("source", "string", "Sender", required=True),
        Field(
            "reference",
            "string",
            "The sender's id of the facility, or an alias (`system|value`, NPI, CCN)",
            required=True,
        ),
        Field("care_site_id", "bigint", "The care site (silver/omop/care_site)", required=True),
        Field("location_id", "bigint", "Its place (silver/omop/location); NULL when no address is known"),
    ),
    key=("source", "reference"),
)
