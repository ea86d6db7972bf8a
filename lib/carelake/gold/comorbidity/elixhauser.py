"""Elixhauser's comorbidities in Quan's coding, with van Walraven's score.

Codes: Quan H et al., Med Care 2005; 43:1130-9, table 2 (enhanced ICD-9-CM and ICD-10). Weights: van Walraven C et al., A modification
of the Elixhauser comorbidity measures into a point system for hospital death using administrative data, Med Care 2009;
47:626-33, table 2 (hypertension, in both forms, weighs nothing).
"""

from __future__ import annotations

from carelake.gold.comorbidity.charlson import (
    AIDS_9,
    AIDS_10,
    CHARLSON,
    HEART_FAILURE_9,
    HEART_FAILURE_10,
    LUNG_9,
    LUNG_10,
    METASTATIC_9,
    METASTATIC_10,
    PERIPHERAL_9,
    PERIPHERAL_10,
    PLEGIA_9,
    PLEGIA_10,
)
from carelake.gold.comorbidity.index import ComorbidityIndex, Group

_OF_CHARLSON = {g.name: g for g in CHARLSON.groups}


def _as_charlson(
    name: str, words: str, icd10: str, icd9cm: str, weight: int, like: str, hidden_by: str | None = None
) -> Group:
    """A group for which the SNOMED concepts of a group of Charlson's stand."""
    same = _OF_CHARLSON[like]
    return Group(name, words, icd10, icd9cm, (weight,), hidden_by, same.names, same.but_not, same.anchors)


ELIXHAUSER = ComorbidityIndex(
    name="elixhauser",
    weightings=("van_walraven",),
    groups=(
        _as_charlson("heart_failure", "heart failure", HEART_FAILURE_10, HEART_FAILURE_9, 7, "heart_failure"),
        Group("arrhythmia", "cardiac arrhythmia", "I44.1-I44.3 I45.6 I45.9 I47-I49 R00.0 R00.1 R00.8 T82.1 Z45.0 Z95.0",
              "426.0 426.10 426.12 426.13 426.7 426.9 427.0-427.4 427.6-427.9 785.0 996.01 996.04 V45.0 V53.3", (5,),
              names="atrial fibrillation|atrial flutter|tachycardia|bradycardia|cardiac arrhythmia|heart block|cardiac pacemaker",
              but_not="family|fetal", anchors=("698247007",)),
        Group("valvular", "heart valve disease", "A52.0 I05-I08 I09.1 I09.8 I34-I39 Q23.0-Q23.3 Z95.2-Z95.4",
              "093.2 394-397 424 746.3-746.6 V42.2 V43.3", (-1,),
              names="(mitral|aortic|tricuspid|pulmonary|heart) valve|(mitral|aortic) (stenosis|regurgitation)|endocarditis",
              but_not="family", anchors=("368009",)),
        Group("pulmonary_circulation", "disease of the pulmonary circulation", "I26 I27 I28.0 I28.8 I28.9",
              "415.0 415.1 416 417.0 417.8 417.9", (4,),
              names="pulmonary (embolism|hypertension|heart disease)|cor pulmonale", but_not="family", anchors=("59282003", "70995007")),
        _as_charlson("peripheral_vascular", "peripheral vascular disease", PERIPHERAL_10, PERIPHERAL_9, 2, "peripheral_vascular"),
        Group("hypertension", "uncomplicated hypertension", "I10", "401", (0,), hidden_by="hypertension_complicated",
              names="essential hypertension|hypertensive disorder", but_not="pulmonary|ocular|family", anchors=("59621000",)),
        Group("hypertension_complicated", "hypertension with organ damage", "I11-I13 I15", "402-405", (0,),
              names="hypertensive (heart|renal|kidney)|secondary hypertension", but_not="family", anchors=("64715009", "31992008")),
        _as_charlson("paralysis", "paralysis", PLEGIA_10, PLEGIA_9, 7, "plegia"),
        Group("neurological", "another disease of the nervous system",
              "G10-G13 G20-G22 G25.4 G25.5 G31.2 G31.8 G31.9 G32 G35-G37 G40 G41 G93.1 G93.4 R47.0 R56",
              "331.9 332.0 332.1 333.4 333.5 333.92 334-335 336.2 340 341 345 348.1 348.3 780.3 784.3", (6,),
              names="parkinson|multiple sclerosis|epilep|seizure|huntington|motor neuron|encephalopathy|aphasia",
              but_not="febrile|family|hepatic", anchors=("84757009", "24700007", "49049000")),
        _as_charlson("chronic_pulmonary", "chronic lung disease", LUNG_10, LUNG_9, 3, "chronic_pulmonary"),
        _as_charlson("diabetes", "uncomplicated diabetes",
                     "E10.0 E10.1 E10.9 E11.0 E11.1 E11.9 E12.0 E12.1 E12.9 E13.0 E13.1 E13.9 E14.0 E14.1 E14.9", "250.0-250.3", 0,
                     "diabetes", "diabetes_complicated"),
        _as_charlson("diabetes_complicated", "diabetes with complications", "E10.2-E10.8 E11.2-E11.8 E12.2-E12.8 E13.2-E13.8 E14.2-E14.8",
                     "250.4-250.9", 0, "diabetes_complicated"),
        Group("hypothyroidism", "hypothyroidism", "E00-E03 E89.0", "240.9 243 244 246.1 246.8", (0,),
              names="hypothyroidism|thyroiditis", but_not="family", anchors=("40930008",)),
        _as_charlson("renal_failure", "kidney failure", "I12.0 I13.1 N18 N19 N25.0 Z49.0-Z49.2 Z94.0 Z99.2",
                     "403.01 403.11 403.91 404.02 404.03 404.12 404.13 404.92 404.93 585 586 588.0 V42.0 V45.1 V56", 5, "renal"),
        Group("liver", "liver disease",
              "B18 I85 I86.4 I98.2 K70 K71.1 K71.3-K71.5 K71.7 K72-K74 K76.0 K76.2-K76.9 Z94.4",
              "070.22 070.23 070.32 070.33 070.44 070.54 070.6 070.9 456.0-456.2 570 571 572.2-572.8 573.3 573.4 573.8 573.9 V42.7", (11,),
              names=f"{_OF_CHARLSON['liver_mild'].names}|{_OF_CHARLSON['liver_severe'].names}", but_not="family",
              anchors=(*_OF_CHARLSON["liver_mild"].anchors, *_OF_CHARLSON["liver_severe"].anchors)),
        _as_charlson("peptic_ulcer", "peptic ulcer without bleeding", "K25.7 K25.9 K26.7 K26.9 K27.7 K27.9 K28.7 K28.9",
                     "531.7 531.9 532.7 532.9 533.7 533.9 534.7 534.9", 0, "peptic_ulcer"),
        _as_charlson("aids", "AIDS or HIV", AIDS_10, AIDS_9, 0, "aids"),
        Group("lymphoma", "lymphoma", "C81-C85 C88 C96 C90.0 C90.2", "200-202 203.0 238.6", (9,),
              names="lymphoma|hodgkin|myeloma", but_not="family|history|suspected", anchors=("118600007",)),
        _as_charlson("metastatic", "cancer that has spread", METASTATIC_10, METASTATIC_9, 12, "metastatic"),
        Group("solid_tumour", "solid tumour", "C00-C26 C30-C34 C37-C41 C43 C45-C58 C60-C76 C97", "140-172 174-195", (4,),
              hidden_by="metastatic",
              names="malignant (neoplasm|tumor)|carcinoma|melanoma|sarcoma|neoplasm of prostate",
              but_not="suspected|benign|history|family|basal cell|metasta|secondary|in situ|screening|lymph"),
        Group("rheumatic", "rheumatoid arthritis or collagen disease",
              "L94.0 L94.1 L94.3 M05 M06 M08 M12.0 M12.3 M30 M31.0-M31.3 M32-M35 M45 M46.1 M46.8 M46.9",
              "446 701.0 710.0-710.4 710.8 710.9 711.2 714 719.3 720 725 728.5 728.89 729.30", (0,),
              names=f"{_OF_CHARLSON['rheumatic'].names}|ankylosing spondylitis|polyarteritis|sjogren", but_not="family",
              anchors=_OF_CHARLSON["rheumatic"].anchors),
        Group("coagulopathy", "disorder of clotting", "D65-D68 D69.1 D69.3-D69.6", "286 287.1 287.3-287.5", (3,),
              names="coagulopathy|thrombocytopeni|hemophilia|disseminated intravascular|von willebrand", but_not="family", anchors=("64779008",)),
        Group("obesity", "obesity", "E66", "278.0", (-4,), names="obesity|obese", but_not="family", anchors=("414916001",)),
        Group("weight_loss", "weight loss", "E40-E46 R63.4 R64", "260-263 783.2 799.4", (6,),
              names="malnutrition|cachexia|abnormal weight loss", but_not="family|risk"),
        Group("fluid_electrolyte", "disorder of fluid or electrolytes", "E22.2 E86 E87", "253.6 276", (5,),
              names="dehydration|hypo(natr|kal|vol)emia|hyper(natr|kal)emia|acidosis|alkalosis|hypovolemia|hypokalemia|hyperkalemia",
              but_not="family|diabetic"),
        Group("anemia_blood_loss", "anaemia from loss of blood", "D50.0", "280.0", (-2,),
              names="anemia due to .*blood loss|chronic blood loss anemia", but_not="family"),
        Group("anemia_deficiency", "anaemia from deficiency", "D50.8 D50.9 D51-D53", "280.1-280.9 281", (-2,),
              names="(iron|folate|vitamin b).*deficiency anemia|pernicious anemia", but_not="family|blood loss"),
        Group("alcohol", "alcohol misuse", "F10 E52 G62.1 I42.6 K29.2 K70.0 K70.3 K70.9 T51 Z50.2 Z71.4 Z72.1",
              "265.2 291.1-291.3 291.5-291.9 303.0 303.9 305.0 357.5 425.5 535.3 571.0-571.3 980 V11.3", (0,),
              names="alcoholi(sm|c)|alcohol (abuse|dependence)|harmful .*alcohol", but_not="non-alcoholic|nonalcoholic|fetal|family|does not",
              anchors=("15167005",)),
        Group("drug_misuse", "drug misuse", "F11-F16 F18 F19 Z71.5 Z72.2", "292 304 305.2-305.9 V65.42", (-7,),
              names="drug (abuse|dependence)|misuses drugs|opioid (abuse|dependence)|cocaine (abuse|dependence)|substance abuse",
              but_not="family", anchors=("26416006",)),
        Group("psychosis", "psychosis", "F20 F22-F25 F28 F29 F30.2 F31.2 F31.5", "293.8 295 296.04 296.14 296.44 296.54 297 298", (0,),
              names="schizophreni|psychosis|psychotic|delusional disorder", but_not="family|screening", anchors=("58214004",)),
        Group("depression", "depression", "F20.4 F31.3-F31.5 F32 F33 F34.1 F41.2 F43.2", "296.2 296.3 296.5 300.4 309 311", (-3,),
              names="depress(ion|ive) |depression$|dysthymi|adjustment disorder", but_not="st segment|remission|screening|family",
              anchors=("35489007",)),
    ),
)  # fmt: skip
