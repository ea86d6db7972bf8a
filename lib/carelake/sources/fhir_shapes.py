"""FHIR R4 as far as the mappings read it: the narrow Spark schema of each resource, and SQL over FHIR's data types.

Numbers of results are read as text, so that a quoted number, a word and 1e400 can be told apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.silver.conformed import clock
from carelake.silver.conformed.lineage import CODING, EHR, type_concept

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

FHIR_CODING = "struct<system:string,code:string,display:string,userSelected:boolean>"
_CONCEPT = f"struct<coding:array<{FHIR_CODING}>,text:string>"
_IDENTIFIER = f"struct<use:string,type:{_CONCEPT},system:string,value:string>"
_REF = "struct<reference:string,type:string,identifier:struct<system:string,value:string>,display:string>"
_PERIOD = "struct<start:string,`end`:string>"
_QUANTITY = "struct<value:string,comparator:string,unit:string,system:string,code:string>"
_NAME = "struct<use:string,text:string,family:string,given:array<string>>"
_GEO = "array<struct<url:string,extension:array<struct<url:string,valueDecimal:double>>>>"
_ADDRESS = (
    "struct<use:string,line:array<string>,city:string,district:string,state:string,postalCode:string,"
    f"country:string,extension:{_GEO}>"
)
_EXTENSION = (
    "struct<url:string,valueCode:string,extension:array<struct<url:string,"
    "valueCoding:struct<system:string,code:string,display:string>,valueString:string>>>"
)
_ACTORS = f"array<struct<actor:{_REF}>>"
_ANY = "id string, modifierExtension array<struct<url:string>>"
_WHY = f"reasonReference array<{_REF}>, reasonCode array<{_CONCEPT}>"

_RESULT = {
    "code": _CONCEPT,
    "valueQuantity": _QUANTITY,
    "valueCodeableConcept": _CONCEPT,
    "valueString": "string",
    "valueBoolean": "boolean",
    "valueInteger": "string",
    "valueRange": f"struct<low:{_QUANTITY},high:{_QUANTITY}>",
    "valueRatio": f"struct<numerator:{_QUANTITY},denominator:{_QUANTITY}>",
    "valueSampledData": "struct<data:string>",
    "valueTime": "string",
    "valueDateTime": "string",
    "valuePeriod": _PERIOD,
    "dataAbsentReason": _CONCEPT,
    "referenceRange": f"array<struct<low:{_QUANTITY},high:{_QUANTITY},type:{_CONCEPT}>>",
}
RESULT_FIELDS = tuple(_RESULT)  # of an Observation and, alike, of each of its components
VALUES = tuple(name for name in _RESULT if name.startswith("value"))

_DOSAGE = (
    f"struct<text:string,patientInstruction:string,route:{_CONCEPT},doseAndRate:array<struct<doseQuantity:{_QUANTITY}>>,"
    "timing:struct<repeat:struct<frequency:double,period:double,periodUnit:string,"
    f"boundsPeriod:{_PERIOD}>>>"
)
_ORDERED = (
    f"medicationCodeableConcept {_CONCEPT}, medicationReference {_REF}, subject {_REF}, "
    f"contained array<struct<resourceType:string,id:string,code:{_CONCEPT}>>"
)

SHAPES = {
    "Patient": (
        f"{_ANY}, identifier array<{_IDENTIFIER}>, name array<{_NAME}>, gender string, birthDate string, "
        f"_birthDate struct<extension:array<struct<url:string,valueDateTime:string>>>, deceasedDateTime string, "
        f"link array<struct<other:{_REF}>>, address array<{_ADDRESS}>, communication array<struct<language:{_CONCEPT},preferred:boolean>>, "
        f"generalPractitioner array<{_REF}>, managingOrganization {_REF}, extension array<{_EXTENSION}>"
    ),
    "Encounter": (
        f"{_ANY}, status string, class {FHIR_CODING}, type array<{_CONCEPT}>, priority {_CONCEPT}, subject {_REF}, "
        f"participant array<struct<type:array<{_CONCEPT}>,individual:{_REF}>>, period {_PERIOD}, "
        f"reasonCode array<{_CONCEPT}>, partOf {_REF}, serviceProvider {_REF}, location array<struct<location:{_REF}>>, "
        f"hospitalization struct<admitSource:{_CONCEPT},dischargeDisposition:{_CONCEPT}>"
    ),
    "Condition": (
        f"{_ANY}, clinicalStatus {_CONCEPT}, verificationStatus {_CONCEPT}, category array<{_CONCEPT}>, code {_CONCEPT}, "
        f"subject {_REF}, encounter {_REF}, onsetDateTime string, onsetPeriod {_PERIOD}, abatementDateTime string, "
        f"abatementPeriod {_PERIOD}, recordedDate string, recorder {_REF}, asserter {_REF}"
    ),
    "Observation": (
        f"{_ANY}, status string, category array<{_CONCEPT}>, subject {_REF}, encounter {_REF}, effectiveDateTime string, "
        f"effectiveInstant string, effectivePeriod {_PERIOD}, issued string, performer array<{_REF}>, "
        f"basedOn array<{_REF}>, hasMember array<{_REF}>, "
        + ", ".join(f"{name} {kind}" for name, kind in _RESULT.items())
        + f", component array<struct<{','.join(f'{name}:{kind}' for name, kind in _RESULT.items())}>>"
    ),
    "Procedure": (
        f"{_ANY}, status string, code {_CONCEPT}, subject {_REF}, encounter {_REF}, performedDateTime string, "
        f"performedPeriod {_PERIOD}, performer {_ACTORS}, basedOn array<{_REF}>, {_WHY}"
    ),
    "Medication": f"{_ANY}, code {_CONCEPT}",
    "MedicationRequest": (
        f"{_ANY}, {_ORDERED}, status string, statusReason {_CONCEPT}, intent string, doNotPerform boolean, "
        f"encounter {_REF}, authoredOn string, requester {_REF}, dosageInstruction array<{_DOSAGE}>, "
        f"dispenseRequest struct<quantity:{_QUANTITY},expectedSupplyDuration:{_QUANTITY},numberOfRepeatsAllowed:int>, "
        f"{_WHY}"
    ),
    "MedicationAdministration": (
        f"{_ANY}, {_ORDERED}, status string, statusReason array<{_CONCEPT}>, context {_REF}, effectiveDateTime string, "
        f"effectivePeriod {_PERIOD}, performer {_ACTORS}, request {_REF}, "
        f"dosage struct<text:string,route:{_CONCEPT},dose:{_QUANTITY}>, {_WHY}"
    ),
    "Immunization": (
        f"{_ANY}, status string, vaccineCode {_CONCEPT}, patient {_REF}, encounter {_REF}, occurrenceDateTime string, "
        f"performer {_ACTORS}, lotNumber string, doseQuantity {_QUANTITY}, route {_CONCEPT}, {_WHY}"
    ),
    "AllergyIntolerance": (
        f"{_ANY}, clinicalStatus {_CONCEPT}, verificationStatus {_CONCEPT}, code {_CONCEPT}, patient {_REF}, "
        f"encounter {_REF}, onsetDateTime string, onsetPeriod {_PERIOD}, recordedDate string, recorder {_REF}, "
        f"asserter {_REF}"
    ),
    "Device": (
        f"{_ANY}, status string, udiCarrier array<struct<deviceIdentifier:string,carrierHRF:string>>, "
        f"distinctIdentifier string, manufactureDate string, lotNumber string, serialNumber string, type {_CONCEPT}, "
        f"deviceName array<struct<name:string>>, patient {_REF}"
    ),
    "DiagnosticReport": (
        f"{_ANY}, status string, category array<{_CONCEPT}>, code {_CONCEPT}, subject {_REF}, encounter {_REF}, "
        f"effectiveDateTime string, effectivePeriod {_PERIOD}, issued string, performer array<{_REF}>, "
        f"basedOn array<{_REF}>, result array<{_REF}>, conclusion string"
    ),
    "CarePlan": (
        f"{_ANY}, status string, intent string, category array<{_CONCEPT}>, title string, subject {_REF}, encounter {_REF}, "
        f"period {_PERIOD}, created string, author {_REF}, addresses array<{_REF}>"
    ),
    "DocumentReference": (
        f"{_ANY}, status string, docStatus string, type {_CONCEPT}, subject {_REF}, date string, author array<{_REF}>, "
        "description string, content array<struct<attachment:struct<contentType:string,language:string,data:string,"
        f"title:string>>>, context struct<encounter:array<{_REF}>,period:{_PERIOD}>"
    ),
    "Organization": (
        f"{_ANY}, identifier array<{_IDENTIFIER}>, type array<{_CONCEPT}>, name string, address array<{_ADDRESS}>, "
        f"partOf {_REF}"
    ),
    "Location": (
        f"{_ANY}, identifier array<{_IDENTIFIER}>, type array<{_CONCEPT}>, physicalType {_CONCEPT}, name string, "
        f"description string, address {_ADDRESS}, position struct<latitude:double,longitude:double>, "
        f"managingOrganization {_REF}, partOf {_REF}"
    ),
    "Practitioner": (
        f"{_ANY}, identifier array<{_IDENTIFIER}>, name array<{_NAME}>, gender string, birthDate string, "
        f"qualification array<struct<code:{_CONCEPT}>>"
    ),
    "PractitionerRole": (
        f"{_ANY}, identifier array<{_IDENTIFIER}>, practitioner {_REF}, organization {_REF}, specialty array<{_CONCEPT}>, "
        f"code array<{_CONCEPT}>"
    ),
}

NPI = "http://hl7.org/fhir/sid/us-npi"

# The type that a relative, absolute or conditional reference names; '' in urn:, identifier-only and contained ones.
_TARGET = "(?:^|/)([A-Z][A-Za-z]+)(?:/[^/?]+(?:/_history/[^/]*)?$|[?].*$)"


def reference(ref: str) -> str:
    """One string per Reference: the id (`Patient/x`, `http://…/Patient/x`, `urn:uuid:x`), or `system|value`
    (`Practitioner?identifier=system|value`, or an identifier alone). NULL for a contained or other one.
    """
    text = f"{ref}.reference"
    token = f"substring_index(substring_index({text}, '?identifier=', -1), '&', 1)"
    return (
        f"CASE WHEN {text} IS NULL THEN nullif(concat_ws('|', {ref}.identifier.system, {ref}.identifier.value), '') "
        f"WHEN {text} LIKE '#%' THEN NULL "
        f"WHEN {text} LIKE 'urn:%' THEN substring_index({text}, ':', -1) "
        f"WHEN {text} LIKE '%?identifier=%' THEN "
        f"CASE WHEN {token} LIKE '%\\%%' THEN try_url_decode({token}) ELSE {token} END "
        f"WHEN {text} LIKE '%?%' THEN NULL "
        f"ELSE nullif(regexp_extract({text}, '([^/]+)(/_history/[^/]*)?$', 1), '') END"
    )


def reference_to(ref: str, *types: str) -> str:
    """As `reference`, NULL when it names another type of resource than these."""
    named = f"coalesce(nullif(regexp_extract({ref}.reference, '{_TARGET}', 1), ''), {ref}.type, '{types[0]}')"
    return f"CASE WHEN {named} IN ({', '.join(map(repr, types))}) THEN {reference(ref)} END"


def referring(name: str, kind: str) -> Callable[[DataFrame, DataFrame], DataFrame]:
    """Of bronze records those whose reference `name` names one of some changed records of a `kind`."""
    named = reference_to(f"from_json(raw, '{name} {_REF}').{name}", kind)

    def of(own: DataFrame, changed: DataFrame) -> DataFrame:
        keys = changed.selectExpr("record_key AS _named").distinct()
        return own.join(keys, F.expr(f"{named} = _named"), how="left_semi")

    return of


def references(refs: str) -> str:
    """Each Reference of an array as one string, those that name nothing left out; NULL when none is left."""
    return f"nullif(array_compact(transform({refs}, x -> {reference('x')})), cast(array() AS array<string>))"


def person(ref: str) -> str:
    """The patient's id; NULL for a group, a location or a device."""
    return reference_to(ref, "Patient")


def clinician(ref: str) -> str:
    """The id of a practitioner or of one of their roles; NULL for organisations, patients and relatives."""
    return reference_to(ref, "Practitioner", "PractitionerRole")


def first_clinician(refs: str) -> str:
    """The first practitioner of an array of references."""
    return f"get(array_compact(transform({refs}, x -> {clinician('x')})), 0)"


def codings(concept: str) -> str:
    """The codings of a CodeableConcept that have a code, in the sender's order."""
    return f"cast(filter({concept}.coding, c -> c.code IS NOT NULL) AS {CODING})"


def all_codings(concepts: str) -> str:
    """The codings of an array of CodeableConcepts."""
    flat = f"flatten(transform({concepts}, x -> coalesce(x.coding, array())))"
    return f"cast(filter({flat}, c -> c.code IS NOT NULL) AS {CODING})"


def words(concept: str) -> str:
    """A CodeableConcept in words: its text, else what it displays first."""
    return f"coalesce({concept}.text, get({concept}.coding, 0).display)"


def uncoded(concept: str) -> str:
    """Its words when it has no code, else NULL."""
    coded = f"exists({concept}.coding, c -> c.code IS NOT NULL)"
    return f"CASE WHEN NOT coalesce({coded}, false) THEN {words(concept)} END"


def has_code(concepts: str, *codes: str) -> str:
    """Whether an array of CodeableConcepts holds one of the codes; false when there is none."""
    listed = ", ".join(map(repr, codes))
    return f"coalesce(exists({concepts}, x -> exists(x.coding, c -> c.code IN ({listed}))), false)"


def first_code(concept: str) -> str:
    """Its first code, else its text."""
    return f"coalesce(get({concept}.coding, 0).code, {concept}.text)"


def number(text: str) -> str:
    """DOUBLE of a number as text; NULL for words and for what no double can hold."""
    return (
        f"CASE WHEN abs(try_cast({text} AS double)) < double('Infinity') THEN try_cast({text} AS double) END"
    )


def aliases(identifiers: str) -> str:
    """`system|value` of each identifier, as a conditional or identifier-only reference is normalised."""
    named = "nullif(concat_ws('|', x.system, x.value), '')"
    return f"array_compact(transform(filter({identifiers}, x -> x.value IS NOT NULL), x -> {named}))"


def identifier(identifiers: str, system: str) -> str:
    """The first identifier of a system."""
    return f"get(filter({identifiers}, x -> x.system = '{system}' AND x.value IS NOT NULL), 0).value"


def parsed(records: DataFrame, kind: str, **columns: str) -> DataFrame:
    """The resource's fields as columns beside lineage and sender, then the further columns.

    `inline` and not a struct: the optimizer pushes a struct's field access below a generator and then parses the text
    once for each field (15 times for Observation).
    """
    given = ("_at", "sender", "is_latest", "version_at", "extract_date")
    flat = records.selectExpr(*given, f"inline(array(from_json(raw, '{SHAPES[kind]}')))")
    return flat.selectExpr("*", *[f"{sql} AS `{name}`" for name, sql in columns.items()])


def rows(frame: DataFrame, columns: dict[str, str], *problems: str, excluded: str = "NULL") -> DataFrame:
    """The contract's columns, with what is wrong with the record or why it is left out."""
    modified = "CASE WHEN size(modifierExtension) > 0 THEN 'R_MODIFIER:modifier_extension' END"
    return frame.selectExpr(
        "_at",
        *[f"{sql} AS `{name}`" for name, sql in columns.items()],
        f"array_compact(array({', '.join((modified, *problems))})) AS _problems",
        f"cast({excluded} AS string) AS _excluded",
    )


def status_problems(status: str = "status") -> tuple[str, str]:
    """Problems: FHIR requires a status; entered-in-error is no fact."""
    return (
        f"CASE WHEN {status} IS NULL THEN 'R_SCHEMA:status_missing' END",
        f"CASE WHEN {status} = 'entered-in-error' THEN 'R_RETRACTED:entered_in_error' END",
    )


def when(condition: str, rule: str) -> str:
    """The rule where the condition holds, else NULL."""
    return f"CASE WHEN {condition} THEN '{rule}' END"


def event(subject: str, concept: str, fact: str, hint: str, **more: str) -> dict[str, str]:
    """The columns that all events share; the texts of the times are columns `_start` and `_end`."""
    return {
        "source_person_id": person(subject), "source_event_id": "id", "fact": f"'{fact}'", "domain_hint": hint,
        "codings": codings(concept), "code_text": uncoded(concept), "type_concept_id": type_concept(EHR),
        **clock.times("_start", "_end"), **more,
    }  # fmt: skip


def why() -> dict[str, str]:
    """The columns of an event that has reasonReference and reasonCode."""
    return {"reason_ids": references("reasonReference"), "reasons": all_codings("reasonCode")}


BAD_TIMES = (
    clock.bad_date("start", "_start"),
    clock.bad_date("end", "_end"),
    clock.future(f"to_date({clock.local('_start')})"),
)


def no_code(concept: str) -> str:
    """Problem: neither a code nor words say what it was."""
    return when(f"{first_code(concept)} IS NULL AND {words(concept)} IS NULL", "R_SCHEMA:code_missing")


def verification() -> tuple[str, str]:
    """Problem and exclusion of a condition or allergy by its verification (OMOP_RULES 12: a rule-out is none)."""
    code = "get(verificationStatus.coding, 0).code"
    return (
        f"CASE {code} WHEN 'entered-in-error' THEN 'R_RETRACTED:entered_in_error' WHEN 'refuted' THEN 'R_RETRACTED:refuted' END",
        f"CASE WHEN {code} IN ('unconfirmed', 'provisional', 'differential') THEN 'not_a_condition' END",
    )
