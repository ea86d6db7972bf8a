"""Records of FHIR NDJSON: one resource a line, of one type a file or mixed.

A Bundle that only deletes (the `deleted` files of a bulk export: transaction, each entry `DELETE Type/id`) gives a unit per
entry: the deletion of that resource, whose version is the Bundle's (FHIR Bulk Data Access 2.0, 2.5.7).
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from carelake.bronze.source import FileProblem, Unit
from carelake.core.json_lines import Line, LineTooLong, is_wide, lines, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_EPOCH_IN_NAME = re.compile(r"\.(1[0-9]{12})\.")
_NOT_A_RECORD = frozenset({"OperationOutcome", "Parameters"})  # of the exchange, not of a person or a place
PEEK = 20  # lines on which a file is recognised as NDJSON or not

RESOURCES = frozenset(
    """
    Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary
    BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem
    ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication CommunicationRequest
    CompartmentDefinition Composition ConceptMap Condition Consent Contract Coverage CoverageEligibilityRequest
    CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement
    DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis Encounter Endpoint EnrollmentRequest
    EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceVariable ExampleScenario ExplanationOfBenefit
    FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy Immunization
    ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List
    Location Measure MeasureReport Media Medication MedicationAdministration MedicationDispense MedicationKnowledge
    MedicationRequest MedicationStatement MedicinalProduct MedicinalProductAuthorization
    MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient
    MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged
    MedicinalProductPharmaceutical MedicinalProductUndesirableEffect MessageDefinition MessageHeader
    MolecularSequence NamingSystem NutritionOrder Observation ObservationDefinition OperationDefinition
    OperationOutcome Organization OrganizationAffiliation Parameters Patient PaymentNotice PaymentReconciliation
    Person PlanDefinition Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse
    RelatedPerson RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject
    RiskAssessment RiskEvidenceSynthesis Schedule SearchParameter ServiceRequest Slot Specimen SpecimenDefinition
    StructureDefinition StructureMap Subscription Substance SubstanceNucleicAcid SubstancePolymer SubstanceProtein
    SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification SupplyDelivery SupplyRequest Task
    TerminologyCapabilities TestReport TestScript ValueSet VerificationResult VisionPrescription
    """.split()  # noqa: SIM905 - a word list is read more easily than 140 quoted names
)


def units(stream: BinaryIO, name: str) -> Iterator[Unit]:
    """One unit per non-blank line. Raises FileProblem for an empty file, another encoding or another format."""
    found = lines(stream)
    of_file = re.match(r"[A-Za-z]+", PurePosixPath(name).name)
    kind = of_file.group() if of_file and of_file.group() in RESOURCES else "unknown"
    try:
        head = list(islice(found, PEEK))
        if refusal := _other_format(head):
            raise FileProblem(*refusal, kind)
        for line in chain(head, found):
            yield from _deletions(line) or (_unit(line, kind),)
    except LineTooLong:
        raise FileProblem("F_WRONG_FORMAT", "line_too_long", kind) from None


def _other_format(head: list[Line]) -> tuple[str, str] | None:
    """Why the file is refused whole: its beginning is no NDJSON. A bad line among good ones is the line's fault."""
    if not head:
        return "F_EMPTY", "no_record"
    first = head[0].raw.lstrip()
    if is_wide(first):
        return "F_ENCODING", "not_utf8"
    if first.startswith(b"[") and not isinstance(parse(first).value, list):
        return "F_WRONG_FORMAT", "array_over_lines"
    if re.match(rb'\{\s*["\']', first) or any(isinstance(parse(x.raw).value, dict) for x in head):
        return None
    if first.startswith(b"["):
        return "F_WRONG_FORMAT", "array"
    if first.startswith(b"{") and not first.rstrip().endswith(b"}"):
        return "F_WRONG_FORMAT", "record_over_lines"
    return ("F_WRONG_FORMAT", "not_json") if parse(first).problem else None


def _unit(line: Line, kind: str) -> Unit:
    value, problem = parse(line.raw, ended=line.ended)
    place = (line.raw, line.byte_offset, line.record_no)
    if problem and not isinstance(value, dict):
        return Unit(kind, None, None, *place, problem)
    if not isinstance(value, dict):
        return Unit(kind, None, None, *place, "R_NOT_OBJECT:not_an_object")
    named = value.get("resourceType")
    known = isinstance(named, str) and named in RESOURCES
    key = value.get("id")
    legal = isinstance(key, str) and _ID.fullmatch(key) is not None
    if not known or named in _NOT_A_RECORD:
        problem = problem or "R_UNKNOWN_TYPE:resource_type"
    elif not legal:
        problem = problem or ("R_ID:id_missing" if key is None else "R_ID:id_illegal")
    meta = value.get("meta")
    updated = meta.get("lastUpdated") if isinstance(meta, dict) else None
    version_at = updated if isinstance(updated, str) and _is_instant(updated) else None
    return Unit(str(named) if known else "unknown", key if legal else None, version_at, *place, problem)


def _deletions(line: Line) -> list[Unit]:
    """The deletions of a Bundle of nothing else, each with its own bytes; none of any other line."""
    if b'"DELETE"' not in line.raw or b'"Bundle"' not in line.raw:
        return []
    bundle, problem = parse(line.raw, ended=line.ended)
    if problem or not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        return []
    entries = bundle.get("entry")
    named = [_deleted(e) for e in entries] if isinstance(entries, list) else []
    begin = re.search(rb'"entry"\s*:\s*\[', line.raw)
    if not named or not all(named) or begin is None:
        return []
    meta = bundle.get("meta")
    updated = meta.get("lastUpdated") if isinstance(meta, dict) else None
    version_at = updated if isinstance(updated, str) and _is_instant(updated) else None
    text, at, units = line.raw.decode(), len(line.raw[: begin.end()].decode()), []
    for kind, key in filter(None, named):
        at = text.index("{", at)
        _, end = json.JSONDecoder().raw_decode(text, at)
        place = (text[at:end].encode(), line.byte_offset + len(text[:at].encode()), line.record_no)
        units.append(Unit(kind, key, version_at, *place, "R_RETRACTED:deleted"))
        at = end
    return units


def _deleted(entry: object) -> tuple[str, str] | None:
    """Type and id of the resource that an entry deletes."""
    request = entry.get("request") if isinstance(entry, dict) and "resource" not in entry else None
    url = request.get("url") if isinstance(request, dict) and request.get("method") == "DELETE" else None
    kind, _, key = url.partition("/") if isinstance(url, str) else ("", "", "")
    return (kind, key) if kind in RESOURCES and _ID.fullmatch(key) else None


def _is_instant(text: str) -> bool:
    if not _INSTANT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


def extract_date(path: str, head: str) -> str | None:
    """The day that a file's name gives as epoch milliseconds (`Location.1725148800000.ndjson`), else None."""
    found = _EPOCH_IN_NAME.search(PurePosixPath(path).name)
    return datetime.fromtimestamp(int(found[1]) / 1000, timezone.utc).date().isoformat() if found else None
