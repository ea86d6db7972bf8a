"""Value sets of the features: which standard concepts are a disease, a drug class, a laboratory test.

A set is the descendants of its anchors (concept_ancestor) and, since an open vocabulary subset has few ancestors, the
standard concepts whose name matches. Names are OHDSI's own; a licensed vocabulary makes the anchors do the work.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ValueSet:
    """Concepts below `anchors` (SNOMED CT codes), or whose lower-case name matches `names` and not `but_not` (Java regular expressions).

    A concept set of a cohort definition gives ids instead: `ids`, `below` (with all descendants), less `without_ids` and `without_below`.
    """

    name: str
    words: str
    names: str = "(?!)"
    but_not: str = "(?!)"
    anchors: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    below: tuple[int, ...] = ()
    without_ids: tuple[int, ...] = ()
    without_below: tuple[int, ...] = ()


@dataclass(frozen=True)
class Numeric:
    """A numeric result: its LOINC codes, canonical UCUM unit, factors (and offsets) of other units, plausible range."""

    name: str
    words: str
    loinc: tuple[str, ...]
    unit: str
    low: float
    high: float
    factors: tuple[tuple[str, float], ...] = ()
    offsets: tuple[tuple[str, float], ...] = field(default=())


CONDITIONS = (
    ValueSet("diabetes", "diabetes", "diabet", "prediabet|gestational|no evidence|suspected|family history", ("73211009",)),
    ValueSet("prediabetes", "prediabetes or metabolic syndrome", "prediabetes|metabolic syndrome|hyperglycemia"),
    ValueSet("hypertension", "hypertension", "hypertensive (disorder|heart|renal)|essential hypertension", "pulmonary|ocular", ("38341003",)),
    ValueSet("chronic_kidney_disease", "chronic kidney disease", "chronic kidney disease|end-stage renal|disorder of kidney due to diabetes", anchors=("709044004",)),
    ValueSet("heart_failure", "heart failure", "heart failure", "fetal|history of", ("84114007",)),
    ValueSet("coronary_disease", "coronary heart disease", "ischemic heart disease|myocardial infarction|coronary (arterio|athero)sclerosis|angina pectoris", anchors=("414545008",)),
    ValueSet("atrial_fibrillation", "atrial fibrillation", "atrial fibrillation", anchors=("49436004",)),
    ValueSet("stroke", "stroke or cerebrovascular disease", "^stroke$|cerebrovascular|cerebral infarction|transient ischemic", anchors=("62914000",)),
    ValueSet("copd", "chronic obstructive lung disease", "chronic obstructive|emphysema", anchors=("13645005",)),
    ValueSet("asthma", "asthma", "asthma", "history|family", ("195967001",)),
    ValueSet("cancer", "cancer", "malignant|carcinoma|leukemia|lymphoma|neoplasm of prostate", "suspected|benign|history|family", ("363346000",)),
    ValueSet("depression", "depression", "depress(ion|ive) ", "remission|st segment", ("35489007",)),
    ValueSet("anxiety", "anxiety or stress", "anxiety|^stress$|posttraumatic stress", anchors=("197480006",)),
    ValueSet("dementia", "dementia", "dementia|alzheimer", "family", ("52448006",)),
    ValueSet("obesity", "obesity", "obesity|obese", "family", ("414916001",)),
    ValueSet("anemia", "anaemia", "anemia", "family", ("271737000",)),
    ValueSet("hyperlipidemia", "raised blood lipids", "hyperlipidemia|hypertriglyceridemia|hypercholesterolemia"),
    ValueSet("substance_use", "drug misuse or overdose", "drug abuse|drug overdose|misuses drugs|opioid (abuse|dependence)|drug dependence|substance abuse"),
    ValueSet("alcohol", "harmful alcohol use", "alcoholi(sm|c)|alcohol (abuse|dependence)|alcohol drinking", "non-alcoholic|nonalcoholic|does not|fetal", ("15167005",)),
    ValueSet("chronic_pain", "chronic pain", "chronic (low back |neck |intractable )?pain|chronic.* migraine|fibromyalgia"),
    ValueSet("seizure", "seizures or epilepsy", "seizure|epilepsy", "febrile|family"),
    ValueSet("osteoporosis", "osteoporosis or arthritis", "osteoporosis|osteoarthritis|rheumatoid arthritis"),
    ValueSet("infection_severe", "pneumonia, sepsis or COVID-19", "^sepsis|septic shock|pneumonia|covid-19", "suspected|vaccin"),
    ValueSet("injury", "an injury", "fracture|laceration|sprain|concussion|burn |whiplash|injury", "history|dental|filling"),
    ValueSet("social_risk", "a social need", "social isolation|limited social contact|homeless|housing|transport problem|unemployed|intimate partner abuse|violence"),
)  # fmt: skip

DRUGS = (
    ValueSet("opioid", "an opioid", "oxycod|hydrocod|morphine|fentanyl|codeine|tramadol|meperidine|methadone|buprenorph|hydromorph"),
    ValueSet("insulin", "insulin", "\\binsulin", "excl"),
    ValueSet("glucose_lowering", "a glucose-lowering tablet or injection", "metformin|glipizide|glyburide|gliptin|gliflozin|glutide|pioglitazone"),
    ValueSet("anticoagulant", "an anticoagulant", "warfarin|enoxaparin|\\bheparin|apixaban|rivaroxaban|dabigatran"),
    ValueSet("antiplatelet", "an antiplatelet drug", "clopidogrel|ticagrelor|prasugrel|aspirin 81"),
    ValueSet("ace_or_arb", "an ACE inhibitor or ARB", "\\w+opril\\b|\\w+sartan\\b"),
    ValueSet("beta_blocker", "a beta blocker", "metoprolol|atenolol|carvedilol|bisoprolol|propranolol"),
    ValueSet("calcium_channel_blocker", "a calcium channel blocker", "amlodipine|nifedipine|felodipine|diltiazem|verapamil"),
    ValueSet("diuretic", "a diuretic", "furosemide|hydrochlorothiazide|spironolactone|bumetanide|chlorthalidone"),
    ValueSet("statin", "a statin", "\\w+vastatin"),
    ValueSet("inhaled", "an inhaled drug for the airways", "albuterol|salmeterol|budesonide|fluticasone|tiotropium"),
    ValueSet("antidepressant", "an antidepressant", "sertraline|fluoxetine|citalopram|paroxetine|venlafaxine|duloxetine|bupropion|trazodone"),
    ValueSet("sedative", "a sedative", "diazepam|clonazepam|lorazepam|alprazolam|zolpidem"),
    ValueSet("nsaid", "an anti-inflammatory painkiller", "ibuprofen|naproxen|diclofenac|meloxicam"),
    ValueSet("antineoplastic", "a cancer drug", "cisplatin|paclitaxel|docetaxel|oxaliplatin|etoposide|doxorubicin|cyclophosphamide|fluorouracil|leuprolide"),
)  # fmt: skip

_MASS = (("mg/dL", 1.0), ("g/L", 100.0), ("mg/L", 0.1))
_SCORE = (("{score}", 1.0), ("[score]", 1.0), ("{#}", 1.0), ("1", 1.0))
NUMERICS = (
    Numeric("bmi", "body mass index", ("39156-5",), "kg/m2", 8, 100),
    Numeric("weight", "body weight", ("29463-7",), "kg", 1, 400, (("[lb_av]", 0.45359237), ("[lb_us]", 0.45359237), ("g", 0.001))),
    Numeric("systolic", "systolic blood pressure", ("8480-6",), "mm[Hg]", 40, 300),
    Numeric("diastolic", "diastolic blood pressure", ("8462-4",), "mm[Hg]", 20, 200),
    Numeric("heart_rate", "heart rate", ("8867-4",), "/min", 20, 250, (("{beats}/min", 1.0), ("{counts}/min", 1.0))),
    Numeric("respiratory_rate", "respiratory rate", ("9279-1",), "/min", 4, 80, (("{breaths}/min", 1.0),)),
    Numeric("oxygen_saturation", "oxygen saturation", ("2708-6", "59408-5"), "%", 40, 100),
    Numeric("hba1c", "HbA1c", ("4548-4",), "%", 2, 20, (("mmol/mol", 0.09148),), (("mmol/mol", 2.152),)),
    Numeric("glucose", "blood glucose", ("2339-0", "2345-7"), "mg/dL", 20, 1000, (*_MASS, ("mmol/L", 18.016))),
    Numeric("creatinine", "creatinine", ("2160-0", "38483-4"), "mg/dL", 0.1, 90, (*_MASS, ("umol/L", 1 / 88.42))),
    Numeric("egfr", "kidney filtration rate", ("33914-3",), "mL/min/{1.73_m2}", 0.5, 250, (("mL/min", 1.0), ("mL/min/(173.10*-2.m2)", 1.0))),
    Numeric("total_cholesterol", "total cholesterol", ("2093-3",), "mg/dL", 20, 1000, (*_MASS, ("mmol/L", 38.67))),
    Numeric("ldl", "LDL cholesterol", ("18262-6",), "mg/dL", 0, 600, (*_MASS, ("mmol/L", 38.67))),
    Numeric("hdl", "HDL cholesterol", ("2085-9",), "mg/dL", 1, 200, (*_MASS, ("mmol/L", 38.67))),
    Numeric("triglycerides", "triglycerides", ("2571-8",), "mg/dL", 10, 5000, (*_MASS, ("mmol/L", 88.57))),
    Numeric("hemoglobin", "haemoglobin", ("718-7",), "g/dL", 2, 25, (("g/L", 0.1), ("mg/dL", 0.001), ("mmol/L", 1.6114))),
    Numeric("platelets", "platelets", ("777-3",), "10*3/uL", 1, 3000, (("10*9/L", 1.0),)),
    Numeric("leukocytes", "white blood cells", ("6690-2",), "10*3/uL", 0.1, 500, (("10*9/L", 1.0),)),
    Numeric("potassium", "potassium", ("6298-4", "2823-3"), "mmol/L", 1, 12, (("meq/L", 1.0), ("10*-3.eq/L", 1.0))),
    Numeric("albumin", "albumin", ("1751-7",), "g/dL", 0.5, 8, (("g/L", 0.1),)),
    Numeric("pain", "pain score", ("72514-3",), "{score}", 0, 10, _SCORE),
    Numeric("phq2", "depression screen (PHQ-2)", ("55758-7",), "{score}", 0, 6, _SCORE),
    Numeric("gad7", "anxiety screen (GAD-7)", ("70274-6",), "{score}", 0, 21, _SCORE),
    Numeric("audit_c", "alcohol screen (AUDIT-C)", ("75626-2",), "{score}", 0, 12, _SCORE),
    Numeric("dast10", "drug screen (DAST-10)", ("82667-7",), "{score}", 0, 10, _SCORE),
    Numeric("fall_risk", "fall risk score", ("59460-6",), "{#}", 0, 125, _SCORE),
)  # fmt: skip
