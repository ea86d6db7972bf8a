"""FHIR R4 as newline-delimited JSON: bulk exports, one resource a line, of one type a file or mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.bronze.parts import Divides
from carelake.bronze.source import Source
from carelake.silver.conformed import clock
from carelake.silver.conformed.encounter import ENCOUNTER, elective
from carelake.silver.conformed.event import EVENT
from carelake.silver.conformed.facility import FACILITY
from carelake.silver.conformed.lineage import EHR, type_concept
from carelake.silver.conformed.note import NOTE
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.conformed.provider import PROVIDER
from carelake.sources import fhir_parties as parties
from carelake.sources import fhir_plans as plans
from carelake.sources import fhir_shapes as f
from carelake.sources.fhir_reader import PEEK, RESOURCES, extract_date, units

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SOURCE = Source(
    format="fhir",
    doc="FHIR R4 resources as NDJSON. Every resource type lands; the types without a mapping are excluded by rule.",
    files=("*.ndjson", "*.jsonl"),
    units=units,
    divides=lambda name: Divides(head=PEEK, quoted=False),
    kinds=RESOURCES | {"unknown"},
    not_records=("log.ndjson", "parameters.json", "manifest.json", "export*.json", "*error*.ndjson"),
    extract_date=extract_date,
    versions_kept=frozenset({"Patient"}),
)

SOURCE.mapping(kind="Patient", into=PATIENT)(parties.patient)
SOURCE.mapping(kind="Organization", into=FACILITY)(parties.organization)
SOURCE.mapping(kind="Location", into=FACILITY)(parties.location)
SOURCE.mapping(kind="Practitioner", into=PROVIDER)(parties.practitioner)
SOURCE.mapping(kind="PractitionerRole", into=PROVIDER)(parties.practitioner_role)
SOURCE.mapping(kind="CarePlan", into=EVENT)(plans.care_plan)

_ADMINISTRATION, _PRESCRIPTION, _PROBLEM_LIST, _EHR_NOTE = 32818, 32838, 32840, 32831

# Codes that say more than the class does; Synthea gives IMP to all nursing-home stays and HH to all hospice.
_NURSING = ("449411000124106", "449871000124101", "183919006")
_HOSPICE = ("305336008", "305911006", "385763009")
_URGENT_CARE = ("702927004",)
_TELEHEALTH = ("448337001", "185317003", "185316007")
_HOME = ("439708006",)

# Days of a UCUM period.
_DAYS = {"s": 1 / 86400, "min": 1 / 1440, "h": 1 / 24, "d": 1, "wk": 7, "mo": 30, "a": 365}

# Bounds that no living body passes, in whatever unit is usual (cm or in, kg or lb, Cel or degF).
_PHYSICAL = {
    "8867-4": (0, 500), "9279-1": (0, 200), "8480-6": (0, 400), "8462-4": (0, 350), "8310-5": (0, 130),
    "59408-5": (0, 100), "2708-6": (0, 100), "8302-2": (0, 300), "29463-7": (0, 1500), "39156-5": (0, 300),
}  # fmt: skip


@SOURCE.mapping(kind="Encounter", into=ENCOUNTER)
def encounter(records: DataFrame) -> DataFrame:
    """The visit class is read from type before class. A finished visit without an end, not inpatient, ends as it began."""
    kind = "upper(class.code)"
    visit = (
        f"CASE WHEN {f.has_code('type', *_NURSING)} THEN 'skilled_nursing' "
        f"WHEN {f.has_code('type', *_HOSPICE)} THEN 'hospice' "
        f"WHEN {f.has_code('type', *_TELEHEALTH)} OR {kind} IN ('VR', 'VIRTUAL') THEN 'telehealth' "
        f"WHEN {kind} IN ('EMER', 'EMERGENCY') THEN 'emergency' "
        f"WHEN {kind} IN ('IMP', 'ACUTE', 'NONAC', 'OBSENC', 'INPATIENT') THEN 'inpatient' "
        f"WHEN {f.has_code('type', *_URGENT_CARE)} THEN 'urgent_care' "
        f"WHEN {f.has_code('type', *_HOME)} OR {kind} IN ('HH', 'HOME') THEN 'home' "
        f"WHEN {kind} IS NOT NULL AND {kind} <> 'UNK' THEN 'outpatient' ELSE 'unknown' END"
    )
    said = "lower(concat_ws(' ', transform(type, x -> concat_ws(' ', x.text, get(x.coding, 0).display))))"
    urgency = "upper(get(priority.coding, 0).code)"
    planned = (
        f"CASE WHEN {urgency} = 'EL' OR {f.has_code('type', '8715000')} THEN true "
        f"WHEN {urgency} IN ('EM', 'UR', 'S', 'A') OR get(hospitalization.admitSource.coding, 0).code = 'emd' THEN false "
        f"WHEN _class = 'emergency' THEN false ELSE {elective(said)} END"
    )
    provider = "coalesce({}, get(_people, 0)).individual".format(
        ", ".join(f"get(filter(_people, p -> {f.has_code('p.type', code)}), 0)" for code in ("PPRF", "ATND"))
    )
    frame = f.parsed(
        records, "Encounter",
        _class=visit, _people=f"filter(participant, p -> {f.clinician('p.individual')} IS NOT NULL)",
    )  # fmt: skip
    frame = frame.selectExpr(
        "*", "period.start AS _start",
        "coalesce(period.`end`, CASE WHEN status = 'finished' AND _class NOT IN "
        "('inpatient', 'skilled_nursing', 'hospice') THEN period.start END) AS _end",
    )  # fmt: skip
    return f.rows(frame, {
        "source_person_id": f.person("subject"), "source_encounter_id": "id", "visit_class": "_class",
        "class_source_value": f"concat_ws(':', class.code, {f.first_code('get(type, 0)')})",
        "planned": planned, **clock.times("_start", "_end"),
        "zone_assumed": f"coalesce({clock.zone_assumed('_start')}, false)",
        "part_of": f.reference("partOf"), "types": f.all_codings("type"), "reasons": f.all_codings("reasonCode"),
        "source_facility_id": f"coalesce({f.reference('serviceProvider')}, {f.reference('get(location, 0).location')})",
        "source_provider_id": f.clinician(provider),
        "admitted_from": f.first_code("hospitalization.admitSource"),
        "discharged_to": f.first_code("hospitalization.dischargeDisposition"),
        "type_concept_id": type_concept(EHR),
    }, *f.status_problems(), *f.BAD_TIMES, f.when(f"{f.reference('partOf')} = id", "R_REF:itself"),
        excluded="CASE WHEN status IN ('planned', 'cancelled') THEN 'not_done' END",
    )  # fmt: skip


@SOURCE.mapping(kind="Condition", into=EVENT)
def condition(records: DataFrame) -> DataFrame:
    """From onset, else the day of recording, until abatement."""
    frame = f.parsed(
        records, "Condition",
        _start="coalesce(onsetDateTime, onsetPeriod.start, recordedDate)",
        _end="coalesce(abatementDateTime, abatementPeriod.`end`, abatementPeriod.start, onsetPeriod.`end`)",
        _listed=f.has_code("category", "problem-list-item"),
    )  # fmt: skip
    retracted, excluded = f.verification()
    return f.rows(frame, f.event(
        "subject", "code", "diagnosis", "'Condition'",
        source_encounter_id=f.reference("encounter"),
        source_provider_id=f"coalesce({f.clinician('asserter')}, {f.clinician('recorder')})",
        role="CASE WHEN _listed THEN 'problem_list' END", clinical_status=f.first_code("clinicalStatus"),
        type_concept_id=f"CASE WHEN _listed THEN {type_concept(_PROBLEM_LIST)} ELSE {type_concept(EHR)} END",
    ), retracted, f.no_code("code"), *f.BAD_TIMES, excluded=excluded)  # fmt: skip


@SOURCE.mapping(kind="Observation", into=EVENT)
def observation(records: DataFrame) -> DataFrame:
    """A row for its own value and one for each component; a panel without a value of its own gives its components.

    Ratios, ranges, periods and the reason of an absent value are kept in words.
    """
    own = f"struct({', '.join(f.RESULT_FIELDS)})"
    valued = " OR ".join(f"{v} IS NOT NULL" for v in f.VALUES)
    frame = f.parsed(
        records, "Observation",
        _start="coalesce(effectiveDateTime, effectivePeriod.start, effectiveInstant, issued)",
        _end="effectivePeriod.`end`",
        _measured=f.has_code("category", "laboratory", "vital-signs"),
        _told=f.has_code("category", "survey", "social-history", "sdoh"),
        _own=f"coalesce(size(component), 0) < 1 OR {valued}",
        _results=f"concat(filter(array({own}), x -> coalesce(size(component), 0) < 1 OR {valued}), "
                 "coalesce(component, array()))",
    )  # fmt: skip
    frame = frame.drop(*f.RESULT_FIELDS, "component").selectExpr("*", "posexplode(_results) AS (_part, o)")
    frame = frame.selectExpr(
        "*", "coalesce(o.valueQuantity.value, o.valueInteger) AS _text",
        f"get(filter(o.code.coding, c -> c.code IN ({', '.join(map(repr, _PHYSICAL))})), 0).code AS _vital",
        f"get(filter(o.referenceRange, x -> x.type IS NULL OR {f.first_code('x.type')} = 'normal'), 0) AS _range",
    )  # fmt: skip

    def bound(end: str) -> str:
        same = f"coalesce(_range.{end}.code = o.valueQuantity.code, _range.{end}.unit = o.valueQuantity.unit, true)"
        return f"CASE WHEN {same} THEN {f.number(f'_range.{end}.value')} END"

    value_text = (
        f"coalesce(o.valueString, cast(o.valueBoolean AS string), {f.words('o.valueCodeableConcept')}, o.valueTime, "
        "o.valueDateTime, nullif(concat_ws('/', o.valuePeriod.start, o.valuePeriod.`end`), ''), "
        "o.valueRatio.numerator.value || ':' || o.valueRatio.denominator.value, "
        "nullif(concat_ws(' - ', o.valueRange.low.value, o.valueRange.high.value), ''), o.valueSampledData.data, "
        f"{f.words('o.dataAbsentReason')}, {f.first_code('o.dataAbsentReason')})"
    )
    implausible = " ".join(
        f"WHEN '{code}' THEN {f.number('_text')} NOT BETWEEN {low} AND {high}"
        for code, (low, high) in _PHYSICAL.items()
    )
    many = " + ".join(f"int(o.{v} IS NOT NULL)" for v in f.VALUES)
    return f.rows(frame, f.event(
        "subject", "o.code", "result",
        "CASE WHEN _measured THEN 'Measurement' WHEN _told OR _text IS NULL THEN 'Observation' ELSE 'Measurement' END",
        _part="_part",
        source_encounter_id=f.reference("encounter"), source_provider_id=f.first_clinician("performer"),
        value_number=f.number("_text"), value_sent=f"CASE WHEN {f.number('_text')} IS NOT NULL THEN _text END",
        value_operator="CASE WHEN o.valueQuantity.comparator IN ('<', '<=', '>=', '>') THEN o.valueQuantity.comparator END",
        value_text=value_text, value_codings=f.codings("o.valueCodeableConcept"),
        unit_system="o.valueQuantity.system", unit_code="o.valueQuantity.code", unit_text="o.valueQuantity.unit",
        range_low=bound("low"), range_high=bound("high"),
        clinical_status="status", based_on=f.reference("get(basedOn, 0)"),
        member_ids=f"CASE WHEN _part = 0 AND _own THEN {f.references('hasMember')} END",
    ), *f.status_problems(), f.no_code("o.code"), *f.BAD_TIMES,
        f.when(f"_text IS NOT NULL AND {f.number('_text')} IS NULL", "R_TYPE:value"),
        f.when(f"{many} > 1", "R_SCHEMA:two_values"), f.when(f"CASE _vital {implausible} END", "R_RANGE:vital_sign"),
        excluded="CASE WHEN status = 'cancelled' THEN 'not_done' END",
    )  # fmt: skip


@SOURCE.mapping(kind="Procedure", into=EVENT)
def procedure(records: DataFrame) -> DataFrame:
    """What was done; preparations and what was not done are left out."""
    frame = f.parsed(
        records, "Procedure",
        _start="coalesce(performedDateTime, performedPeriod.start)", _end="performedPeriod.`end`",
    )  # fmt: skip
    return f.rows(frame, f.event(
        "subject", "code", "procedure", "'Procedure'",
        source_encounter_id=f.reference("encounter"), source_provider_id=f.first_clinician("performer.actor"),
        clinical_status="status", based_on=f.reference("get(basedOn, 0)"), **f.why(),
    ), *f.status_problems(), f.no_code("code"), *f.BAD_TIMES,
        excluded="CASE WHEN status IN ('not-done', 'preparation') THEN 'not_done' END",
    )  # fmt: skip


@SOURCE.mapping(
    kind=("MedicationRequest", "MedicationAdministration"), beside=("Medication",), into=EVENT,
    refers=f.referring("medicationReference", "Medication"),
)  # fmt: skip
def medication(records: DataFrame) -> DataFrame:
    """Orders and administrations, each with its drug; a Medication says what they refer to and is no fact of its own.

    A reference is resolved among the contained resources and the sender's Medication records, which the mapping must
    all be given; one that resolves to nothing and has no display is R_REF.
    """
    drugs = f.parsed(records.where("kind = 'Medication'"), "Medication")
    known = drugs.selectExpr("sender.name AS _sender", "id AS _drug", "code AS _known")
    contained = "get(filter(contained, c -> '#' || c.id = medicationReference.reference), 0).code"
    display = (
        f"named_struct('coding', cast(NULL AS array<{f.FHIR_CODING}>), 'text', medicationReference.display)"
    )

    def with_drug(kind: str, **columns: str) -> DataFrame:
        frame = f.parsed(
            records.where(f"kind = '{kind}'"), kind,
            _sender="sender.name", _drug=f.reference_to("medicationReference", "Medication"), **columns,
        )  # fmt: skip
        return frame.join(known, on=["_sender", "_drug"], how="left").selectExpr(
            "*", f"coalesce(medicationCodeableConcept, {contained}, _known, "
            f"CASE WHEN medicationReference.display IS NOT NULL THEN {display} END) AS _code",
        )  # fmt: skip

    unknown = f.when("medicationReference IS NOT NULL AND _code IS NULL", "R_REF:medication")
    no_code = f"CASE WHEN medicationReference IS NULL OR _code IS NOT NULL THEN {f.no_code('_code')} END"
    dose = "get(dosageInstruction, 0)"
    repeat = f"{dose}.timing.repeat"
    days = (
        f"CASE {repeat}.periodUnit "
        + " ".join(f"WHEN '{u}' THEN double({d})" for u, d in _DAYS.items())
        + " END"
    )
    per_day = (
        f"try_divide({f.number(f'get({dose}.doseAndRate, 0).doseQuantity.value')} * coalesce({repeat}.frequency, 1), "
        f"coalesce({repeat}.period, 1) * {days})"
    )
    supply = "dispenseRequest.expectedSupplyDuration"
    ordered = f.rows(
        with_drug(
            "MedicationRequest",
            _start=f"coalesce({repeat}.boundsPeriod.start, authoredOn)", _end=f"{repeat}.boundsPeriod.`end`",
        ), f.event(
            "subject", "_code", "order", "'Drug'",
            source_encounter_id=f.reference("encounter"), source_provider_id=f.clinician("requester"),
            clinical_status="status", stop_reason=f.words("statusReason"),
            quantity=f.number("dispenseRequest.quantity.value"), unit_text="dispenseRequest.quantity.unit",
            days_supply=f"CASE WHEN coalesce({supply}.code, {supply}.unit) IN ('d', 'day', 'days') "
                        f"THEN try_cast({f.number(f'{supply}.value')} AS int) END",
            refills="dispenseRequest.numberOfRepeatsAllowed",
            sig="nullif(array_join(transform(dosageInstruction, x -> coalesce(x.text, x.patientInstruction)), '; '), '')",
            dose_per_day=f"CASE WHEN size(dosageInstruction) = 1 THEN {per_day} END",
            route=f.codings(f"{dose}.route"), type_concept_id=type_concept(_PRESCRIPTION), **f.why(),
        ), *f.status_problems(), unknown, no_code, *f.BAD_TIMES,
        excluded="CASE WHEN status IN ('cancelled', 'draft') OR doNotPerform THEN 'not_done' "
                 "WHEN intent IN ('plan', 'proposal', 'option') THEN 'not_an_order' END",
    )  # fmt: skip
    given = f.rows(
        with_drug(
            "MedicationAdministration",
            _start="coalesce(effectiveDateTime, effectivePeriod.start)", _end="effectivePeriod.`end`",
        ), f.event(
            "subject", "_code", "administration", "'Drug'",
            source_encounter_id=f.reference("context"), source_provider_id=f.first_clinician("performer.actor"),
            clinical_status="status", stop_reason=f.words("get(statusReason, 0)"), based_on=f.reference("request"),
            quantity=f.number("dosage.dose.value"), unit_text="dosage.dose.unit", sig="dosage.text",
            route=f.codings("dosage.route"), type_concept_id=type_concept(_ADMINISTRATION), **f.why(),
        ), *f.status_problems(), unknown, no_code, *f.BAD_TIMES,
        excluded="CASE WHEN status = 'not-done' THEN 'not_done' END",
    )  # fmt: skip
    return ordered.unionByName(given, allowMissingColumns=True)


@SOURCE.mapping(kind="Immunization", into=EVENT)
def immunization(records: DataFrame) -> DataFrame:
    """Vaccines given."""
    frame = f.parsed(records, "Immunization", _start="occurrenceDateTime", _end="cast(NULL AS string)")
    return f.rows(frame, f.event(
        "patient", "vaccineCode", "immunization", "'Drug'",
        source_encounter_id=f.reference("encounter"), source_provider_id=f.first_clinician("performer.actor"),
        clinical_status="status", lot_number="lotNumber", quantity=f.number("doseQuantity.value"),
        unit_text="doseQuantity.unit", route=f.codings("route"), type_concept_id=type_concept(_ADMINISTRATION), **f.why(),
    ), *f.status_problems(), f.no_code("vaccineCode"), *f.BAD_TIMES,
        excluded="CASE WHEN status = 'not-done' THEN 'not_done' END",
    )  # fmt: skip


@SOURCE.mapping(kind="AllergyIntolerance", into=EVENT)
def allergy(records: DataFrame) -> DataFrame:
    """What the person does not tolerate, from onset, else the day of recording."""
    frame = f.parsed(
        records, "AllergyIntolerance",
        _start="coalesce(onsetDateTime, onsetPeriod.start, recordedDate)", _end="cast(NULL AS string)",
    )  # fmt: skip
    retracted, excluded = f.verification()
    return f.rows(frame, f.event(
        "patient", "code", "allergy", "'Observation'",
        source_encounter_id=f.reference("encounter"), clinical_status=f.first_code("clinicalStatus"),
        source_provider_id=f"coalesce({f.clinician('asserter')}, {f.clinician('recorder')})",
    ), retracted, f.no_code("code"), *f.BAD_TIMES, excluded=excluded)  # fmt: skip


@SOURCE.mapping(kind="Device", into=EVENT)
def device(records: DataFrame) -> DataFrame:
    """A person's device, dated by the day of its manufacture, else of the record's version or extract.

    R4's Device has no day of first use (THEMIS asks for it; Synthea's is always 21 days after manufacture): the
    manufacture is the latest day on record that use cannot precede. A device of nobody is left out.
    """
    made = "to_date(coalesce(version_at, cast(extract_date AS timestamp)))"
    frame = f.parsed(
        records, "Device",
        _start=f"coalesce(substring(manufactureDate, 1, 10), cast({made} AS string))", _end="cast(NULL AS string)",
        _code="coalesce(type, named_struct('coding', cast(NULL AS array<" + f.FHIR_CODING
              + ">), 'text', get(deviceName, 0).name))",
    )  # fmt: skip
    carrier = "get(udiCarrier, 0)"
    return f.rows(frame, f.event(
        "patient", "_code", "device", "'Device'",
        clinical_status="status", lot_number="lotNumber", production_id="serialNumber",
        unique_device_id=f"coalesce({carrier}.carrierHRF, {carrier}.deviceIdentifier, distinctIdentifier)",
    ), f.status_problems()[1], f.no_code("_code"), *f.BAD_TIMES,
        excluded="CASE WHEN patient IS NULL THEN 'of_no_person' END",
    )  # fmt: skip


@SOURCE.mapping(kind="DiagnosticReport", into=EVENT)
def report(records: DataFrame) -> DataFrame:
    """That a report was made. Its results are Observations of their own, its text a DocumentReference."""
    frame = f.parsed(
        records, "DiagnosticReport",
        _start="coalesce(effectiveDateTime, effectivePeriod.start, issued)", _end="effectivePeriod.`end`",
    )  # fmt: skip
    hint = (
        f"CASE WHEN {f.has_code('category', 'LAB')} THEN 'Measurement' "
        f"WHEN {f.has_code('category', 'RAD', 'LP29684-5')} THEN 'Procedure' ELSE 'Observation' END"
    )
    return f.rows(frame, f.event(
        "subject", "code", "report", hint,
        source_encounter_id=f.reference("encounter"), source_provider_id=f.first_clinician("performer"),
        value_text="conclusion", clinical_status="status", based_on=f.reference("get(basedOn, 0)"),
        member_ids=f.references("result"),
    ), *f.status_problems(), f.no_code("code"), *f.BAD_TIMES,
        excluded="CASE WHEN status = 'cancelled' THEN 'not_done' END",
    )  # fmt: skip


@SOURCE.mapping(kind="DocumentReference", into=NOTE)
def note(records: DataFrame) -> DataFrame:
    """The first plain, else HTML, else other attachment, decoded; an attachment elsewhere (url) gives no text.

    Windows-1252 is read as Latin-1, of which it differs in 27 signs.
    """
    kinds = ("text/plain%", "text/html%", "%")
    frame = f.parsed(
        records, "DocumentReference", _start="coalesce(date, context.period.start)",
        _a="coalesce({})".format(", ".join(
            f"get(filter(content, c -> coalesce(c.attachment.contentType, '') LIKE '{k}'), 0)" for k in kinds
        )) + ".attachment",
    )  # fmt: skip
    frame = frame.selectExpr(
        "*", "try_to_binary(_a.data, 'base64') AS _bytes",
        "lower(coalesce(nullif(regexp_extract(_a.contentType, '(?i)charset=\"?([A-Za-z0-9_-]+)', 1), ''), 'utf-8')) AS _set",
    )  # fmt: skip
    frame = frame.selectExpr(
        "*", "CASE WHEN _set IN ('iso-8859-1', 'latin1', 'windows-1252', 'cp1252') THEN decode(_bytes, 'ISO-8859-1') "
        "WHEN _set IN ('utf-8', 'utf8', 'us-ascii', 'ascii') THEN try_validate_utf8(cast(_bytes AS string)) END AS _body",
    )  # fmt: skip
    return f.rows(frame, {
        "source_person_id": f.person("subject"), "source_note_id": "id",
        "source_encounter_id": f.reference("get(context.encounter, 0)"),
        "source_provider_id": f.first_clinician("author"),
        "note_datetime": clock.local("_start"), "has_time": f"coalesce({clock.has_time('_start')}, false)",
        "codings": f.codings("type"), "title": f"coalesce(_a.title, description, {f.words('type')})", "text": "_body",
        "content_type": "_a.contentType", "encoding": "_set", "language": "_a.language", "status": "status",
        "type_concept_id": type_concept(_EHR_NOTE),
    }, *f.status_problems(), clock.bad_date("date", "_start"),
        f.when("docStatus = 'entered-in-error'", "R_RETRACTED:entered_in_error"),
        f.when("_a.data IS NOT NULL AND _body IS NULL AND coalesce(_a.contentType, 'text/') LIKE 'text/%'",
               "R_ENCODING:attachment"),
    )  # fmt: skip
