"""Charlson's index in Quan's coding.

Codes: Quan H et al., Coding algorithms for defining comorbidities in ICD-9-CM and ICD-10 administrative data, Med Care 2005;
43:1130-9, table 1 (enhanced ICD-9-CM and ICD-10). Weights: Charlson ME et al., J Chronic Dis 1987; 40:373-83 (of the seventeen
groups as Deyo and Quan have them), and Quan H et al., Am J Epidemiol 2011; 173:676-82, table 2. Which group hides its milder form is
Quan's rule too. LACE's own weights are in lace.py.
"""

from __future__ import annotations

from carelake.gold.comorbidity.index import ComorbidityIndex, Group

_LUNG_10, _LUNG_9 = "I27.8 I27.9 J40-J47 J60-J67 J68.4 J70.1 J70.3", "416.8 416.9 490-505 506.4 508.1 508.8"
HEART_FAILURE_10 = "I09.9 I11.0 I13.0 I13.2 I25.5 I42.0 I42.5-I42.9 I43 I50 P29.0"
HEART_FAILURE_9 = "398.91 402.01 402.11 402.91 404.01 404.03 404.11 404.13 404.91 404.93 425.4-425.9 428"
PERIPHERAL_10 = "I70 I71 I73.1 I73.8 I73.9 I77.1 I79.0 I79.2 K55.1 K55.8 K55.9 Z95.8 Z95.9"
PERIPHERAL_9 = "093.0 437.3 440 441 443.1-443.9 447.1 557.1 557.9 V43.4"
PLEGIA_10 = "G04.1 G11.4 G80.1 G80.2 G81 G82 G83.0-G83.4 G83.9"
PLEGIA_9 = "334.1 342 343 344.0-344.6 344.9"
METASTATIC_10, METASTATIC_9 = "C77-C80", "196-199"
AIDS_10, AIDS_9 = "B20-B22 B24", "042-044"
LUNG_10, LUNG_9 = _LUNG_10, _LUNG_9

CHARLSON = ComorbidityIndex(
    name="charlson",
    weightings=("charlson_1987", "quan_2011"),
    groups=(
        Group("myocardial_infarction", "myocardial infarction", "I21 I22 I25.2", "410 412", (1, 0),
              names="myocardial infarction", but_not="without|family|suspected", anchors=("22298006",)),
        Group("heart_failure", "heart failure", HEART_FAILURE_10, HEART_FAILURE_9, (1, 2),
              names="heart failure|cardiomyopathy", but_not="fetal|family", anchors=("84114007",)),
        Group("peripheral_vascular", "peripheral vascular disease", PERIPHERAL_10, PERIPHERAL_9, (1, 0),
              names="peripheral (arterial|vascular)|aortic aneurysm|atherosclerosis of (aorta|artery of)|intermittent claudication",
              but_not="family", anchors=("400047006",)),
        Group("cerebrovascular", "cerebrovascular disease", "G45 G46 H34.0 I60-I69", "362.34 430-438", (1, 0),
              names="^stroke$|cerebrovascular|cerebral (infarction|hemorrhage)|transient ischemic", but_not="family",
              anchors=("62914000",)),
        Group("dementia", "dementia", "F00-F03 F05.1 G30 G31.1", "290 294.1 331.2", (1, 2),
              names="dementia|alzheimer", but_not="family", anchors=("52448006",)),
        Group("chronic_pulmonary", "chronic lung disease", _LUNG_10, _LUNG_9, (1, 1),
              names="chronic obstructive|emphysema|asthma|chronic bronchitis|bronchiectasis|pneumoconiosis",
              but_not="family|history", anchors=("13645005", "195967001")),
        Group("rheumatic", "rheumatic disease", "M05 M06 M31.5 M32-M34 M35.1 M35.3 M36.0",
              "446.5 710.0-710.4 714.0-714.2 714.8 725", (1, 1),
              names="rheumatoid arthritis|lupus erythematosus|systemic sclerosis|polymyositis|polymyalgia rheumatica",
              but_not="family", anchors=("69896004", "55464009")),
        Group("peptic_ulcer", "peptic ulcer", "K25-K28", "531-534", (1, 0),
              names="(peptic|gastric|duodenal|gastrojejunal) ulcer", but_not="family", anchors=("13200003",)),
        Group("liver_mild", "mild liver disease",
              "B18 K70.0-K70.3 K70.9 K71.3-K71.5 K71.7 K73 K74 K76.0 K76.2-K76.4 K76.8 K76.9 Z94.4",
              "070.22 070.23 070.32 070.33 070.44 070.54 070.6 070.9 570 571 573.3 573.4 573.8 573.9 V42.7", (1, 2),
              hidden_by="liver_severe",
              names="cirrhosis of liver|chronic (viral )?hepatitis|fatty liver|steatosis of liver|steatohepatitis|alcoholic liver",
              but_not="family", anchors=("19943007", "328383001")),
        Group("diabetes", "diabetes without organ damage",
              "E10.0 E10.1 E10.6 E10.8 E10.9 E11.0 E11.1 E11.6 E11.8 E11.9 E12.0 E12.1 E12.6 E12.8 E12.9 E13.0 E13.1 E13.6 E13.8 "
              "E13.9 E14.0 E14.1 E14.6 E14.8 E14.9",
              "250.0-250.3 250.8 250.9", (1, 0), hidden_by="diabetes_complicated",
              names="diabetes mellitus", but_not="prediabet|gestational|due to|family|suspected|no evidence|maternal|insipidus",
              anchors=("44054006", "46635009")),
        Group("diabetes_complicated", "diabetes with organ damage",
              "E10.2-E10.5 E10.7 E11.2-E11.5 E11.7 E12.2-E12.5 E12.7 E13.2-E13.5 E13.7 E14.2-E14.5 E14.7", "250.4-250.7", (2, 1),
              names="(kidney|retin|neuropathy|nephropathy|renal|macular|microalbuminuria|proteinuria|eye|ulcer|gangrene|peripheral).* "
              "(due to|of|with) .*diabetes|diabetic (retinopathy|neuropathy|nephropathy|kidney|renal|peripheral|foot|gangrene)",
              but_not="without|family", anchors=("127013003", "4855003", "230572002")),
        Group("plegia", "hemiplegia or paraplegia", PLEGIA_10, PLEGIA_9, (2, 2),
              names="hemiplegia|paraplegia|quadriplegia|tetraplegia|hemiparesis", but_not="family", anchors=("50582007", "60389000")),
        Group("renal", "kidney disease", "I12.0 I13.1 N03.2-N03.7 N05.2-N05.7 N18 N19 N25.0 Z49.0-Z49.2 Z94.0 Z99.2",
              "403.01 403.11 403.91 404.02 404.03 404.12 404.13 404.92 404.93 582 583.0-583.7 585 586 588.0 V42.0 V45.1 V56", (2, 1),
              names="chronic kidney disease|end-stage renal|chronic renal failure|dependence on .*dialysis|transplanted kidney",
              but_not="family", anchors=("709044004",)),
        Group("cancer", "cancer", "C00-C26 C30-C34 C37-C41 C43 C45-C58 C60-C76 C81-C85 C88 C90-C97",
              "140-172 174-194 195.0-195.8 200-208 238.6", (2, 2), hidden_by="metastatic",
              names="malignant|carcinoma|leukemia|lymphoma|myeloma|melanoma|sarcoma|neoplasm of prostate",
              but_not="suspected|benign|history|family|basal cell|metasta|secondary|in situ|screening|fear", anchors=("363346000",)),
        Group("liver_severe", "severe liver disease", "I85.0 I85.9 I86.4 I98.2 K70.4 K71.1 K72.1 K72.9 K76.5-K76.7",
              "456.0-456.2 572.2-572.8", (3, 4),
              names="esophageal varices|hepatic encephalopathy|portal hypertension|hepatorenal|chronic hepatic failure",
              but_not="family", anchors=("28670008", "34742003")),
        Group("metastatic", "cancer that has spread", METASTATIC_10, METASTATIC_9, (6, 6),
              names="metasta(tic|sis)|secondary malignant", but_not="suspected|family|history|no evidence",
              anchors=("128462008",)),
        Group("aids", "AIDS or HIV", AIDS_10, AIDS_9, (6, 4),
              names="human immunodeficiency virus|acquired immune deficiency|\\baids\\b", but_not="screening|family|exposure|risk|educat",
              anchors=("62479008", "86406008")),
    ),
)  # fmt: skip
