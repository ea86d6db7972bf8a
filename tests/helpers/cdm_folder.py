"""A CDM v5.3 of a few persons as files, for the tests that bring one as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Person 3 has no year of birth that is one, person 9 is not there.
SMALL: Mapping[str, str] = {
    "cdm_source": "cdm_source_name,cdm_holder,source_release_date,cdm_version\nsmall,nobody,2019-12-31,v5.3.1\n",
    "person": """\
person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,birth_datetime,race_concept_id,ethnicity_concept_id,person_source_value
1,8507,1950,1,2,1950-01-02 00:00:00,8527,38003564,a
2,8532,1960,,,,8516,0,b
3,8532,unknown,,,,8516,0,c
4,8532,1970,,,,0,0,d
""",
    "observation_period": """\
observation_period_id,person_id,observation_period_start_date,observation_period_end_date,period_type_concept_id
11,1,2010-01-01,2019-12-31,44814724
12,2,2010-01-01,2019-12-31,44814724
13,4,2010-01-01,2019-12-31,44814724
14,9,2010-01-01,2019-12-31,44814724
""",
    "visit_occurrence": """\
visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id,admitting_source_concept_id,discharge_to_concept_id
21,1,9201,2017-03-01,2017-03-05,44818517,8870,8536
22,1,9203,2018-05-01,2018-05-01,44818517,,
23,2,9202,2018-06-01,2018-06-01,44818517,,
24,4,9201,2018-07-09,2018-07-01,44818517,,
""",
    "condition_occurrence": """\
condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_end_date,condition_type_concept_id,visit_occurrence_id
31,1,201826,2017-03-01,2017-03-20,32020,21
32,1,201826,2017-04-10,,32020,
33,1,201826,2018-05-01,,32020,22
34,2,192671,2018-06-01,,32020,23
35,3,192671,2018-06-01,,32020,
36,2,192671,30/06/2018,,32020,
""",
    "drug_exposure": """\
drug_exposure_id,person_id,drug_concept_id,drug_exposure_start_date,drug_exposure_end_date,drug_type_concept_id
41,1,1124300,2017-03-01,2017-03-10,38000177
41,2,1118084,2018-06-01,2018-06-10,38000177
""",
    "death": "person_id,death_date,death_type_concept_id\n1,2019-06-01,38003565\n",
    "note_nlp": "note_nlp_id,note_id,section_concept_id,lexical_variant,nlp_date\n",
}


def write(folder: Path, tables: Mapping[str, str] = SMALL) -> Path:
    """One file a table, in capitals as OHDSI's tools name them."""
    folder.mkdir(parents=True)
    for name, text in tables.items():
        (folder / f"{name.upper()}.csv").write_text(text, encoding="utf-8")
    return folder


def as_parquet(folder: Path, source: Path) -> Path:
    """The same as Parquet, each table a folder of two parts, every column text."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    for file in sorted(source.iterdir()):
        names = file.read_text(encoding="utf-8").split("\n", 1)[0].split(",")
        options = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
        table = csv.read_csv(file, convert_options=options)
        parts = folder / file.stem.lower()
        parts.mkdir(parents=True)
        half = table.num_rows // 2
        parquet.write_table(table.slice(0, half), parts / "part-0.parquet")
        parquet.write_table(table.slice(half), parts / "part-1.parquet")
    return folder
