"""Code systems and codes in look-up form: whatever a sender calls ICD-10-CM, and however it writes A00.0.

Both functions give SQL text, so that they can be built before a session exists. The look-up form is applied on both
sides: to the sender's codes, and in code_map to the vocabulary's own, so that the two meet whatever each one writes.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Per OMOP vocabulary_id the spellings of its code system: FHIR URI, OID, HL7 v2 table 0396, UMLS SAB, CMS Blue Button.
# Lower case, without scheme, www, urn:oid:, version, blank, hyphen, underscore: see _key_sql. The most frequent come
# first, because a literal map is searched from its start. CDCREC (CDC Race and Ethnicity) is no OMOP vocabulary; its
# codes are mapped by source_to_concept_map.
SPELLINGS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "LOINC": ("loinc.org", "loinc", "ln", "lnc", "2.16.840.1.113883.6.1"),
    "SNOMED": ("snomed.info/sct", "snomedct", "snomedctus", "sct", "snomed", "2.16.840.1.113883.6.96", "sct2", "snm", "snm3"),
    "RxNorm": ("nlm.nih.gov/research/umls/rxnorm", "rxnorm", "rxn", "rxcui", "2.16.840.1.113883.6.88"),
    "UCUM": ("unitsofmeasure.org", "ucum", "nciucum", "2.16.840.1.113883.6.8"),
    "ICD10CM": ("hl7.org/fhir/sid/icd10cm", "icd10cm", "i10c", "icd10cmdiagnosis", "2.16.840.1.113883.6.90", "cdc.gov/nchs/icd/icd10cm"),
    "NDC": ("hl7.org/fhir/sid/ndc", "ndc", "ndc11", "2.16.840.1.113883.6.69"),
    "HCPCS": (
        "cms.gov/medicare/coding/hcpcsreleasecodesets", "hcpcs", "bluebutton.cms.gov/resources/codesystem/hcpcs",
        "terminology.hl7.org/codesystem/hcpcs", "2.16.840.1.113883.6.285", "2.16.840.1.113883.6.14", "hpc", "hcpcslevelii", "hcpcsleveliicodes",
        "terminology.hl7.org/codesystem/hcpcsallcodes",
    ),
    "CPT4": ("amaassn.org/go/cpt", "cpt", "cpt4", "c4", "c5", "hcpt", "terminology.hl7.org/codesystem/cpt", "2.16.840.1.113883.6.12"),
    "CVX": ("hl7.org/fhir/sid/cvx", "cvx", "hl70292", "2.16.840.1.113883.12.292", "2.16.840.1.113883.6.59"),
    "ICD10PCS": (
        "cms.gov/medicare/coding/icd10", "hl7.org/fhir/sid/icd10pcs", "icd10pcs", "i10p", "icd10pcsprocedure",
        "2.16.840.1.113883.6.4",
    ),
    "ICD10": ("hl7.org/fhir/sid/icd10", "icd10", "i10", "2.16.840.1.113883.6.3"),
    "ICD9CM": (
        "hl7.org/fhir/sid/icd9cm", "icd9cm", "icd9", "i9c", "i9", "i9cdx", "mthicd9", "icd9cmdiagnosis", "2.16.840.1.113883.6.103",
        "2.16.840.1.113883.6.42", "hl7.org/fhir/sid/icd9cm/diagnosis", "terminology.hl7.org/codesystem/icd9cm",
    ),
    "ICD9Proc": (
        "icd9proc", "icd9pcs", "i9cp", "icd9cmprocedure", "2.16.840.1.113883.6.104",
        "hl7.org/fhir/sid/icd9cm/procedure",
    ),
    "CDCREC": (
        "cdcrec", "2.16.840.1.113883.6.238", "raceethnicitycdc", "raceandethnicitycdc", "phraceandethnicitycdc",
        "terminology.hl7.org/codesystem/v3race", "terminology.hl7.org/codesystem/v3ethnicity", "hl7.org/fhir/v3/race",
        "hl7.org/fhir/v3/ethnicity", "hl70005", "hl70189",
    ),
    "Race": ("race",),
    "Ethnicity": ("ethnicity",),
    "Gender": ("gender",),
    "NUCC": ("nucc.org/providertaxonomy", "nucc", "nucchcpt", "providertaxonomy", "healthcareprovidertaxonomy", "2.16.840.1.113883.6.101"),
    "Revenue Code": (
        "nubc.org/codesystem/revenuecodes", "revenuecode", "revenuecenter", "revenuecentercode", "nubcrevenuecode",
        "2.16.840.1.113883.6.301.3", "bluebutton.cms.gov/resources/variables/revcntr",
    ),
    "DRG": (
        "drg", "msdrg", "cmsdrg", "bluebutton.cms.gov/resources/variables/clmdrgcd", "2.16.840.1.113883.6.301.11",
        "cms.gov/medicare/medicarefeeforservicepayment/acuteinpatientpps/msdrgclassificationsandsoftware",
    ),
    "CMS Place of Service": (
        "cmsplaceofservice", "pos", "placeofservice", "2.16.840.1.113883.6.50",
        "cms.gov/medicare/coding/placeofservicecodes/placeofservicecodeset",
        "bluebutton.cms.gov/resources/variables/lineplaceofsrvccd",
    ),
    "Visit": ("visit",),
    "UB04 Pt dis status": (
        "ub04ptdisstatus", "nubc.org/codesystem/patdischargestatus", "2.16.840.1.113883.6.301.5",
        "bluebutton.cms.gov/resources/variables/ptntdschrgstuscd",
    ),
    "Medicare Specialty": ("medicarespecialty", "bluebutton.cms.gov/resources/variables/prvdrspclty"),
    "SOPT": ("nahdo.org/sopt", "sopt", "2.16.840.1.113883.3.221.5"),
    "ATC": ("whocc.no/atc", "atc", "2.16.840.1.113883.6.73"),
    "RxNorm Extension": ("rxnormextension",),
})  # fmt: skip

_ICD_10 = "('ICD10CM', 'ICD10')"
OTHERWISE_SPELLED = (
    "NDC",
    "HCPCS",
    "CPT4",
)  # vocabularies of which other_spellings_sql knows other spellings


def _key_sql(system_sql: str) -> str:
    """SQL: a system's name in lower case without scheme, OID prefix, version and punctuation but dot and slash."""
    bare = f"regexp_replace(lower(trim({system_sql})), '^(urn:oid:|oid:|https?://(www[.])?)|[|].*$|[^a-z0-9./|]+', '')"
    # an edition of SNOMED CT is named by a longer path: snomed.info/sct/731000124108/version/20240301
    return f"regexp_replace({bare}, '(?<=snomed[.]info/sct)/.*$|/+$', '')"


def vocabulary_sql(system_sql: str) -> str:
    """SQL of the OMOP vocabulary_id that a code system means, in whatever spelling; NULL when it is not known."""
    pairs = ", ".join(
        f"'{spelling}', '{name}'" for name, spellings in SPELLINGS.items() for spelling in spellings
    )
    return f"try_element_at(map({pairs}), {_key_sql(system_sql)})"


def known_vocabulary_sql(system_sql: str) -> str:
    """SQL of the vocabulary of a code system: OMOP's in whatever spelling, else a site's own, named as written."""
    return f"coalesce({vocabulary_sql(system_sql)}, {system_sql})"


def code_sql(vocabulary_sql: str, code_sql: str) -> str:
    """SQL of the code in look-up form; NULL when nothing is left of it.

    ICD with its dot (after three characters, four for an ICD-9 E code, two for an ICD-9 procedure) · NDC in 11 digits
    (FDA's 10-digit forms 4-4-2, 5-3-2 and 5-4-1 by their hyphens, without them as they are, see `other_spellings_sql`;
    a product without package in nine; the N4 that X12 forms put before it left out) · CVX without leading zeros ·
    HCPCS and CPT without modifiers, in upper case · ICD-10-PCS, NUCC in upper case · revenue code in four, DRG in three,
    place of service in two digits · everything else trimmed, UCUM in its own case.
    """
    code = f"trim({code_sql})"
    upper = f"upper({code})"
    bare = f"regexp_replace({upper}, '[. ]', '')"
    bare_ndc = f"regexp_replace({upper}, '^N4 *(?=[0-9])', '')"
    digits = f"regexp_replace({bare_ndc}, '[^0-9]', '')"

    def dotted(n: int) -> str:
        return f"regexp_replace({bare}, '^(.{{{n}}})(.+)$', '$1.$2')"

    def part(n: int, width: int) -> str:
        return f"lpad(split_part({bare_ndc}, '-', {n}), {width}, '0')"

    def padded(width: int) -> str:
        return (
            f"CASE WHEN {code} RLIKE '^[0-9]{{1,{width}}}$' THEN lpad({code}, {width}, '0') ELSE {upper} END"
        )

    return f"""nullif(CASE
        WHEN {code} = '' THEN NULL
        WHEN {vocabulary_sql} IN {_ICD_10} THEN {dotted(3)}
        WHEN {vocabulary_sql} = 'ICD9CM' THEN CASE WHEN {bare} LIKE 'E%' THEN {dotted(4)} ELSE {dotted(3)} END
        WHEN {vocabulary_sql} = 'ICD9Proc' THEN {dotted(2)}
        WHEN {vocabulary_sql} = 'NDC' THEN CASE
            WHEN {bare_ndc} RLIKE '^[0-9]{{4,5}}-[0-9]{{3,4}}-[0-9]{{1,2}}$'
            THEN concat({part(1, 5)}, {part(2, 4)}, {part(3, 2)})
            WHEN {bare_ndc} RLIKE '^[0-9]{{4,5}}-[0-9]{{3,4}}$' THEN concat({part(1, 5)}, {part(2, 4)})
            ELSE {digits} END
        WHEN {vocabulary_sql} = 'CVX' THEN regexp_replace({code}, '^0+(?=.)', '')
        WHEN {vocabulary_sql} = 'ICD10PCS' THEN {bare}
        WHEN {vocabulary_sql} IN ('HCPCS', 'CPT4') THEN
            regexp_replace({upper}, '^([0-9A-Z][0-9]{{3}}[0-9A-Z])(?:[-:,^ ]+[0-9A-Z]{{2}}){{1,4}}$', '$1')
        WHEN {vocabulary_sql} = 'NUCC' THEN {upper}
        WHEN {vocabulary_sql} = 'Revenue Code' THEN {padded(4)}
        WHEN {vocabulary_sql} = 'DRG' THEN {padded(3)}
        WHEN {vocabulary_sql} = 'CMS Place of Service' THEN {padded(2)}
        ELSE {code} END, '')"""


def other_spellings_sql(vocabulary_sql: str, code_sql: str) -> str:
    """SQL of an array of (code, vocabulary): how else senders write a code that is in look-up form.

    The three 10-digit forms of an 11-digit NDC without hyphens, each with one zero less: whether such a form is one
    drug's alone shows only over all codes, which is why code_map holds them. And HCPCS for CPT, which is its level I, and
    the other way round: claims name both by one system, and no code is in both.
    """

    def short(pattern: str, head: int, tail: int) -> str:
        return (
            f"CASE WHEN {code_sql} RLIKE '{pattern}' THEN struct(concat(left({code_sql}, {head}), right({code_sql}, {tail})) "
            f"AS code, 'NDC' AS vocabulary) END"
        )

    forms = ", ".join(
        (
            short("^0[0-9]{10}$", 0, 10),
            short("^[0-9]{5}0[0-9]{5}$", 5, 5),
            short("^[0-9]{9}0[0-9]$", 9, 1),
        )
    )
    return f"""CASE
        WHEN {vocabulary_sql} = 'NDC' THEN array_distinct(array_compact(array({forms})))
        WHEN {vocabulary_sql} IN ('HCPCS', 'CPT4') THEN array(struct({code_sql} AS code,
            CASE WHEN {vocabulary_sql} = 'CPT4' THEN 'HCPCS' ELSE 'CPT4' END AS vocabulary))
        ELSE array() END"""
