"""Hospital Frailty Risk Score: 109 three-character codes of ICD-10 and their weights.

Gilbert T et al., Development and validation of a Hospital Frailty Risk Score focusing on older people in acute care settings using
electronic hospital records, Lancet 2018; 391:1775-82, table 1 of its appendix. Made for people of 75 and older, over the diagnoses of their
hospital stays in two years: below 5 low, 5 to 15 intermediate, above 15 high risk. The codes are of WHO's ICD-10: ICD-10-CM has no F00 (it codes G30 with F02)
and no U80 or X59, so scores of American records are lower.
"""

from __future__ import annotations

LOOKBACK_MONTHS = 24

WEIGHTS = {
    code: weight
    for weight, codes in {
        "7.1": "F00", "4.4": "G81", "4.0": "G30", "3.7": "I69", "3.6": "R29", "3.2": "N39 F05 W19 S00", "3.0": "R31", "2.9": "B96",
        "2.7": "R41", "2.6": "R26 I67 R56", "2.5": "R40", "2.4": "T83 S06", "2.3": "S42 E87 M25 E86", "2.2": "R54", "2.1": "Z50 F03 W18",
        "2.0": "Z75 F01 S80 L03", "1.9": "H54 E53", "1.8": "Z60 G20 R55 S22 K59 N17", "1.7": "L89 Z22 B95",
        "1.6": "L97 R44 K26 I95 N19 A41", "1.5": "Z87 J96 X59 M19 G40", "1.4": "M81 S72 S32 E16 R94 N18", "1.3": "R33 R69 N28",
        "1.2": "R32 G31 Y95 S09 R45 G45", "1.1": "Z74 M79 W06 S01 A04 A09 J18", "1.0": "J69 R47 E55 Z93 R02",
        "0.9": "R63 H91 W10 W01 E05 M41", "0.8": "R13 Z99 U80 M80 K92 I63", "0.7": "N20 F10 Y84 R00 J22", "0.6": "Z73 R79",
        "0.5": "Z91 S51 F32 M48", "0.4": "E83 M15 D64 L08", "0.3": "R11 K52", "0.1": "R50",
    }.items()
    for code in codes.split()
}  # fmt: skip


def weights_sql() -> str:
    """SQL of an array of (code, weight), to be taken inline; weights are decimals, so that a sum is the same in any order."""
    return f"array({', '.join(f'''struct('{c}' AS code3, cast('{w}' AS decimal(3,1)) AS weight)''' for c, w in WEIGHTS.items())})"
