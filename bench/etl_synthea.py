"""What OHDSI's ETL-Synthea v5.4 does with Synthea's CSV, written for DuckDB in memory: the yardstick of docs/architecture.md.

    python -m bench.etl_synthea SYNTHEA_CSV VOCABULARY [--write FOLDER]

The statements are our own, after reading theirs (inst/sql/sql_server/cdm_version/v540); the rows are the same, faults
included: tests/parity/test_etl_synthea_on_duckdb.py holds them against what ETL-Synthea itself made. It reads the files,
makes eighteen tables and keeps nothing: no bronze, no history, no lineage, no ledger, no file unless --write asks for it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from carelake.silver.conformed.us_state import LETTERS

if TYPE_CHECKING:
    from collections.abc import Iterable

FILES = ("patients", "encounters", "conditions", "allergies", "medications", "immunizations", "procedures", "observations", "devices",
         "organizations", "providers", "payers", "payer_transitions", "claims", "claims_transactions")  # fmt: skip
# The largest file, which exports leave out, with the columns that are asked for.
LEFT_OUT = {
    "claims_transactions": ("claimid", "patientid", "appointmentid", "providerid", "transfertype", "amount")
}
WORDS = ("concept", "concept_relationship", "concept_ancestor")

# ETL-Synthea loads every time into a date.
_PREPARED = """
CREATE TABLE code AS  -- source_to_source_vocab_map
    SELECT DISTINCT concept_code AS code, concept_id AS source, vocabulary_id AS vocabulary, domain_id AS domain FROM concept;
CREATE TABLE standard AS  -- source_to_standard_vocab_map, standard targets
    SELECT DISTINCT c.concept_code AS code, c.concept_id AS source, c.vocabulary_id AS vocabulary, c.domain_id AS source_domain,
        t.concept_id AS target, t.domain_id AS domain, t.vocabulary_id AS target_vocabulary
    FROM concept c JOIN concept_relationship r ON r.concept_id_1 = c.concept_id AND lower(r.relationship_id) = 'maps to'
        AND r.invalid_reason IS NULL
    JOIN concept t ON t.concept_id = r.concept_id_2 AND t.invalid_reason IS NULL AND t.standard_concept = 'S';
CREATE TABLE enc AS
    SELECT *, start::DATE AS starts, stop::DATE AS stops, encounterclass AS class FROM encounters;
"""
_VISITS = """
CREATE TABLE stay AS  -- inpatient spans at most a day apart share their end; each start stays a visit of its own
    SELECT min(id) AS encounter, patient, 'inpatient' AS class, starts, min(until) AS stops FROM (
        SELECT *, max(stops) OVER (PARTITION BY patient, island) AS until FROM (
            SELECT *, sum(begins) OVER (PARTITION BY patient ORDER BY starts, stops, id) AS island FROM (
                SELECT *, coalesce(starts > 1 + max(stops) OVER (PARTITION BY patient ORDER BY starts, stops, id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true)::INT AS begins
                FROM enc WHERE class = 'inpatient')))
    GROUP BY patient, starts;
CREATE TABLE visit AS
    SELECT *, row_number() OVER (ORDER BY patient, starts, encounter) AS visit FROM (
        SELECT * FROM stay
        UNION ALL
        SELECT min(id), patient, class, starts, max(stops) FROM enc
        WHERE class IN ('emergency', 'urgent', 'ambulatory', 'wellness', 'outpatient') GROUP BY patient, class, starts);
CREATE TABLE visit_of AS  -- the visit of each encounter: a stay around it before its own kind
    SELECT e.id AS encounter, arg_min(v.visit, (v.class <> 'inpatient', v.class <> e.class, v.visit)) AS visit
    FROM enc e JOIN visit v ON v.patient = e.patient AND e.starts BETWEEN v.starts AND v.stops
    WHERE CASE WHEN e.class = 'inpatient' THEN v.class = 'inpatient'
        WHEN e.class IN ('emergency', 'urgent')
            THEN (v.class = 'inpatient' AND e.starts > v.starts) OR (v.class IN ('emergency', 'urgent') AND e.starts = v.starts)
        WHEN e.class IN ('ambulatory', 'wellness', 'outpatient') THEN v.class NOT IN ('emergency', 'urgent') END
    GROUP BY e.id;
"""
_PEOPLE = """
CREATE TABLE location AS
    SELECT row_number() OVER (ORDER BY city, zip) AS location_id, NULL AS address_1, city, letters AS state, zip,
        zip AS location_source_value
    FROM (SELECT DISTINCT city, state, zip FROM patients) LEFT JOIN states ON lower(state) = states.name;
CREATE TABLE person AS
    SELECT row_number() OVER (ORDER BY p.id) AS person_id, CASE upper(gender) WHEN 'M' THEN 8507 WHEN 'F' THEN 8532 END AS gender_concept_id,
        year(birthdate::DATE) AS year_of_birth, month(birthdate::DATE) AS month_of_birth, day(birthdate::DATE) AS day_of_birth,
        birthdate::DATE::TIMESTAMP AS birth_datetime,
        CASE upper(race) WHEN 'WHITE' THEN 8527 WHEN 'BLACK' THEN 8516 WHEN 'ASIAN' THEN 8515 ELSE 0 END AS race_concept_id,
        CASE upper(ethnicity) WHEN 'HISPANIC' THEN 38003563 WHEN 'NONHISPANIC' THEN 38003564 ELSE 0 END AS ethnicity_concept_id,
        l.location_id, p.id AS person_source_value, gender AS gender_source_value, 0 AS gender_source_concept_id,
        race AS race_source_value, 0 AS race_source_concept_id, ethnicity AS ethnicity_source_value, 0 AS ethnicity_source_concept_id
    FROM patients p LEFT JOIN location l ON l.city = p.city AND l.zip = p.zip WHERE gender IS NOT NULL;
CREATE TABLE care_site AS
    SELECT row_number() OVER (ORDER BY id) AS care_site_id, name AS care_site_name, 0 AS place_of_service_concept_id,
        id AS care_site_source_value FROM organizations;
CREATE TABLE provider AS
    SELECT row_number() OVER () AS provider_id, name AS provider_name, 38004446 AS specialty_concept_id, sex AS gender_concept_id,
        id AS provider_source_value, speciality AS specialty_source_value, 38004446 AS specialty_source_concept_id,
        gender AS gender_source_value, sex AS gender_source_concept_id
    FROM (SELECT *, CASE upper(gender) WHEN 'M' THEN 8507 WHEN 'F' THEN 8532 END AS sex FROM providers);
CREATE TABLE who AS  -- person, provider and visit of each encounter
    SELECT e.id AS encounter, e.patient, p.provider_id, v.visit
    FROM enc e LEFT JOIN provider p ON p.provider_source_value = e.provider LEFT JOIN visit_of v ON v.encounter = e.id;
"""


def _visits(table: str, shift: int) -> str:
    """visit_occurrence, and visit_detail, which repeats it."""
    name = table.removesuffix("_occurrence")
    parent = "" if shift == 0 else ", v.visit AS visit_occurrence_id"
    return f"""
CREATE TABLE {table} AS
    SELECT {shift} + v.visit AS {table}_id, p.person_id,
        CASE v.class WHEN 'emergency' THEN 9203 WHEN 'inpatient' THEN 9201 WHEN 'urgent' THEN 0 ELSE 9202 END AS {name}_concept_id,
        v.starts AS {name}_start_date, v.starts::TIMESTAMP AS {name}_start_datetime, v.stops AS {name}_end_date,
        v.stops::TIMESTAMP AS {name}_end_datetime, 32827 AS {name}_type_concept_id, r.provider_id, v.encounter AS {name}_source_value,
        0 AS {name}_source_concept_id, 0 AS admitted_from_concept_id, 0 AS discharged_to_concept_id,
        {shift} + lag(v.visit) OVER (PARTITION BY v.patient ORDER BY v.starts, v.visit) AS preceding_{table}_id{parent}
    FROM visit v JOIN person p ON p.person_source_value = v.patient JOIN enc e ON e.id = v.encounter
    JOIN provider r ON r.provider_source_value = e.provider
    WHERE v.visit IN (SELECT visit FROM visit_of);"""


_EVENT = "p.person_id, w.provider_id, w.visit AS visit_occurrence_id, w.visit + 1000000 AS visit_detail_id"
_WHO = "JOIN person p ON p.person_source_value = s.patient LEFT JOIN who w ON w.encounter = s.encounter AND w.patient = s.patient"


def _mapped(file: str, vocabulary: str, domain: str, *more: str, source: str = "") -> str:
    """FROM of a file joined to its standard concepts `m` and source concepts `c`."""
    extra = "".join(f" AND {m}" for m in more)
    return (
        f"FROM {file} s JOIN standard m ON m.code = s.code AND m.vocabulary = '{vocabulary}' AND m.domain = '{domain}'{extra} "
        f"JOIN code c ON c.code = s.code AND c.vocabulary = '{vocabulary}'{source} {_WHO}"
    )


_SAME = "m.target_vocabulary = m.vocabulary"
_EVENTS = f"""
CREATE TABLE condition_occurrence AS
    SELECT row_number() OVER () AS condition_occurrence_id, {_EVENT}, m.target AS condition_concept_id,
        s.start::DATE AS condition_start_date, s.start::DATE::TIMESTAMP AS condition_start_datetime, s.stop::DATE AS condition_end_date,
        s.stop::DATE::TIMESTAMP AS condition_end_datetime, 32827 AS condition_type_concept_id, s.code AS condition_source_value,
        c.source AS condition_source_concept_id, 0 AS condition_status_concept_id
    {_mapped("conditions", "SNOMED", "Condition", _SAME, source=" AND c.domain = 'Condition'")};
CREATE TABLE drug_exposure AS
    SELECT row_number() OVER () AS drug_exposure_id, *, 0 AS refills, 0 AS quantity, 0 AS route_concept_id, '0' AS lot_number FROM (
    SELECT {_EVENT}, m.target AS drug_concept_id, s.start::DATE AS drug_exposure_start_date,
        s.start::DATE::TIMESTAMP AS drug_exposure_start_datetime, coalesce(s.stop, s.start)::DATE AS drug_exposure_end_date,
        coalesce(s.stop, s.start)::DATE::TIMESTAMP AS drug_exposure_end_datetime, s.stop::DATE AS verbatim_end_date,
        32838 AS drug_type_concept_id, coalesce(s.stop::DATE - s.start::DATE, 0) AS days_supply, s.code AS drug_source_value,
        c.source AS drug_source_concept_id
    {_mapped("medications", "RxNorm", "Drug", _SAME)}
    UNION ALL
    SELECT {_EVENT}, m.target, s.date::DATE, s.date::DATE::TIMESTAMP, s.date::DATE, s.date::DATE::TIMESTAMP, s.date::DATE, 32827, 0, s.code,
        c.source
    {_mapped("immunizations", "CVX", "Drug", _SAME)});
CREATE TABLE procedure_occurrence AS
    SELECT row_number() OVER () AS procedure_occurrence_id, {_EVENT}, m.target AS procedure_concept_id, s.start::DATE AS procedure_date,
        s.start::DATE::TIMESTAMP AS procedure_datetime, s.stop::DATE AS procedure_end_date, s.stop::DATE::TIMESTAMP AS procedure_end_datetime,
        32827 AS procedure_type_concept_id, 0 AS modifier_concept_id, s.code AS procedure_source_value, c.source AS procedure_source_concept_id
    {_mapped("procedures", "SNOMED", "Procedure", _SAME)};
CREATE TABLE device_exposure AS
    SELECT row_number() OVER () AS device_exposure_id, {_EVENT}, m.target AS device_concept_id, s.start::DATE AS device_exposure_start_date,
        s.stop::DATE AS device_exposure_end_date, 32827 AS device_type_concept_id, s.udi AS unique_device_id, s.code AS device_source_value,
        c.source AS device_source_concept_id
    {_mapped("devices", "SNOMED", "Device", _SAME)};
CREATE TABLE measurement AS
    SELECT row_number() OVER () AS measurement_id, *, 32827 AS measurement_type_concept_id, 0 AS operator_concept_id,
        measurement_date::TIMESTAMP AS measurement_datetime, measurement_date::VARCHAR AS measurement_time FROM (
    SELECT {_EVENT}, m.target AS measurement_concept_id, s.start::DATE AS measurement_date, NULL::DOUBLE AS value_as_number,
        0 AS value_as_concept_id, 0 AS unit_concept_id, s.code AS measurement_source_value, c.source AS measurement_source_concept_id,
        NULL AS unit_source_value, NULL AS value_source_value
    {_mapped("procedures", "SNOMED", "Measurement")}
    UNION ALL
    SELECT {_EVENT}, m.target, s.date::DATE, try_cast(s.value AS DOUBLE), coalesce(a.target, 0), coalesce(u.target, 0), s.code,
        coalesce(c.source, 0), s.units, left(s.value, 50)
    {_mapped("observations", "LOINC", "Measurement")}
    LEFT JOIN standard u ON u.code = s.units AND u.vocabulary = 'UCUM' AND u.target_vocabulary = 'UCUM'
    LEFT JOIN standard a ON a.code = s.value AND a.domain = 'Meas value');
CREATE TABLE observation AS
    SELECT row_number() OVER () AS observation_id, *, observation_date::TIMESTAMP AS observation_datetime, 0 AS value_as_concept_id,
        0 AS qualifier_concept_id, 0 AS unit_concept_id FROM (
    SELECT {_EVENT}, m.target AS observation_concept_id, s.start::DATE AS observation_date, 32827 AS observation_type_concept_id,
        s.code AS observation_source_value, c.source AS observation_source_concept_id, NULL AS value_source_value
    {_mapped("allergies", "SNOMED", "Observation", _SAME, source=" AND c.domain = 'Observation'")}
    UNION ALL
    SELECT {_EVENT}, m.target, s.start::DATE, 38000280, s.code, c.source, NULL
    {_mapped("conditions", "SNOMED", "Observation", _SAME, source=" AND c.domain = 'Observation'")}
    UNION ALL
    SELECT {_EVENT}, m.target, s.date::DATE, 38000280, s.code, c.source, left(s.value, 50)
    {_mapped("observations", "LOINC", "Observation", source=" AND c.domain = 'Observation'")});
CREATE TABLE death AS
    SELECT p.person_id, e.starts AS death_date, e.starts::TIMESTAMP AS death_datetime, 32817 AS death_type_concept_id, m.target AS cause_concept_id,
        e.reasoncode AS cause_source_value, m.source AS cause_source_concept_id
    FROM enc e JOIN standard m ON m.code = e.reasoncode AND m.vocabulary = 'SNOMED' AND {_SAME} AND m.domain = 'Condition'
        AND m.source_domain = 'Condition'
    JOIN person p ON p.person_source_value = e.patient WHERE e.code = '308646001';
"""
_SPANS = """
CREATE TABLE observation_period AS
    SELECT row_number() OVER () AS observation_period_id, p.person_id, min(e.starts) AS observation_period_start_date,
        max(e.stops) AS observation_period_end_date, 32882 AS period_type_concept_id
    FROM enc e JOIN person p ON p.person_source_value = e.patient GROUP BY p.person_id;
CREATE TABLE payer_plan_period AS
    SELECT row_number() OVER () AS payer_plan_period_id, p.person_id, t.start_date::DATE AS payer_plan_period_start_date,
        t.end_date::DATE AS payer_plan_period_end_date, 0 AS payer_concept_id, t.payer AS payer_source_value, 0 AS payer_source_concept_id,
        0 AS plan_concept_id, y.name AS plan_source_value, 0 AS plan_source_concept_id, 0 AS sponsor_concept_id,
        0 AS sponsor_source_concept_id, 0 AS stop_reason_concept_id, 0 AS stop_reason_source_concept_id
    FROM payer_transitions t JOIN payers y ON y.id = t.payer JOIN person p ON p.person_source_value = t.patient;
"""


def _eras(lane: str, source: str) -> str:
    """The spans of `source` with the number of their island: each starts at most 30 days after an end before it."""
    return f"""
    SELECT *, sum(begins) OVER (PARTITION BY {lane} ORDER BY starts, stops) AS island FROM (
        SELECT *, coalesce(starts > 30 + max(stops) OVER (PARTITION BY {lane} ORDER BY starts, stops
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true)::INT AS begins FROM ({source}))"""


_LANE = "person_id, concept"
_CONDITIONS = """SELECT person_id, condition_concept_id AS concept, condition_start_date AS starts,
    coalesce(condition_end_date, condition_start_date + 1) AS stops FROM condition_occurrence"""
_TAKEN = """SELECT d.person_id, a.ancestor_concept_id AS concept, drug_exposure_start_date AS starts, drug_exposure_end_date AS stops
    FROM drug_exposure d JOIN concept_ancestor a ON a.descendant_concept_id = d.drug_concept_id
    JOIN concept c ON c.concept_id = a.ancestor_concept_id AND c.vocabulary_id = 'RxNorm' AND c.concept_class_id = 'Ingredient'"""
_ERAS = f"""
CREATE TABLE condition_era AS
    SELECT row_number() OVER () AS condition_era_id, person_id, concept AS condition_concept_id, min(starts) AS condition_era_start_date,
        max(stops) AS condition_era_end_date, count(*) AS condition_occurrence_count
    FROM ({_eras(_LANE, _CONDITIONS)}) GROUP BY person_id, concept, island;
CREATE TABLE taken AS  -- exposures that overlap are one
    SELECT person_id, concept, min(starts) AS starts, max(stops) AS stops, count(*) AS n FROM ({_eras(_LANE, _TAKEN).replace("30 + ", "")})
    GROUP BY person_id, concept, island;
CREATE TABLE drug_era AS
    SELECT row_number() OVER () AS drug_era_id, person_id, concept AS drug_concept_id, min(starts) AS drug_era_start_date,
        max(stops) AS drug_era_end_date, sum(n) AS drug_exposure_count, max(stops) - min(starts) - sum(stops - starts) AS gap_days
    FROM ({_eras(_LANE, "SELECT * FROM taken")}) GROUP BY person_id, concept, island;
"""


def _line_costs(file: str, domain: str, event: str, value: str, start: str) -> str:
    """The encounter's whole cost on each line, joined by code within the visit that the encounter names."""
    return f"""
    SELECT DISTINCT x.{event}_id AS cost_event_id, '{domain}' AS cost_domain_id, e.total_claim_cost::DECIMAL(18, 3) + s.base_cost::DECIMAL(18, 3) AS total_charge,
        e.payer_coverage::DECIMAL(18, 3) + s.base_cost::DECIMAL(18, 3) AS total_paid, e.payer_coverage::DECIMAL(18, 3) AS paid_by_payer,
        e.total_claim_cost::DECIMAL(18, 3) + s.base_cost::DECIMAL(18, 3) - e.payer_coverage::DECIMAL(18, 3) AS paid_by_patient,
        NULL::DECIMAL(18, 3) AS paid_by_primary, y.payer_plan_period_id
    FROM {file} s JOIN enc e ON e.id = s.encounter AND e.patient = s.patient JOIN person p ON p.person_source_value = s.patient
    JOIN visit_occurrence v ON v.visit_source_value = e.id AND v.person_id = p.person_id
    JOIN {event} x ON x.{value} = s.code AND x.visit_occurrence_id = v.visit_occurrence_id AND x.person_id = p.person_id
    LEFT JOIN payer_plan_period y ON y.person_id = p.person_id
        AND x.{start} BETWEEN y.payer_plan_period_start_date AND y.payer_plan_period_end_date"""


_COST = f"""
CREATE TABLE cost AS
    SELECT row_number() OVER () AS cost_id, *, total_charge AS total_cost, 32814 AS cost_type_concept_id, 44818668 AS currency_concept_id,
        0 AS revenue_code_concept_id, 'UNKNOWN / UNKNOWN' AS revenue_code_source_value, 0 AS drg_concept_id, '000' AS drg_source_value FROM (
    {_line_costs("procedures", "Procedure", "procedure_occurrence", "procedure_source_value", "procedure_date")}
    UNION ALL
    {_line_costs("immunizations", "Drug", "drug_exposure", "drug_source_value", "drug_exposure_start_date")}
    UNION ALL
    {_line_costs("medications", "Drug", "drug_exposure", "drug_source_value", "drug_exposure_start_date")}
    UNION ALL
    SELECT event, 'Condition', payer + patient, payer + patient, payer, patient, payer, payer_plan_period_id FROM (
        SELECT x.condition_occurrence_id AS event, y.payer_plan_period_id,
            coalesce(sum(k.amount::DECIMAL(18, 3)) FILTER (WHERE k.transfertype = '1'), 0) AS payer,
            coalesce(sum(k.amount::DECIMAL(18, 3)) FILTER (WHERE k.transfertype = 'p'), 0) AS patient
        FROM conditions s JOIN enc e ON e.id = s.encounter AND e.patient = s.patient JOIN person p ON p.person_source_value = s.patient
        JOIN visit_occurrence v ON v.visit_source_value = e.id AND v.person_id = p.person_id
        JOIN condition_occurrence x ON x.condition_source_value = s.code AND x.visit_occurrence_id = v.visit_occurrence_id
            AND x.person_id = p.person_id
        LEFT JOIN payer_plan_period y ON y.person_id = p.person_id
            AND x.condition_start_date BETWEEN y.payer_plan_period_start_date AND y.payer_plan_period_end_date
        JOIN claims b ON b.patientid = s.patient AND b.diagnosis1 = s.code AND b.currentillnessdate::DATE = s.start::DATE
            AND b.appointmentid = e.id AND b.providerid = e.provider AND b.primarypatientinsuranceid = e.payer AND b.servicedate::DATE = e.starts
        JOIN claims_transactions k ON k.claimid = b.id AND k.patientid = s.patient AND k.appointmentid = e.id AND k.providerid = e.provider
        WHERE k.transfertype IN ('1', 'p') GROUP BY ALL));
"""
STATEMENTS = (
    _PREPARED, _VISITS, _PEOPLE, _visits("visit_occurrence", 0), _visits("visit_detail", 1_000_000), _EVENTS, _SPANS, _ERAS, _COST,
)  # fmt: skip
TABLES = (
    "care_site", "condition_era", "condition_occurrence", "cost", "death", "device_exposure", "drug_era", "drug_exposure", "location",
    "measurement", "observation", "observation_period", "payer_plan_period", "person", "procedure_occurrence", "provider", "visit_detail",
    "visit_occurrence",
)  # fmt: skip


def _find(folders: Iterable[Path], name: str) -> str | None:
    """The CSV file of that name below the folders, in any case, `_seed` at its end or not; None without one."""
    for folder in folders:
        for path in sorted(folder.rglob("*.csv*")):
            if path.name.lower().split(".")[0].removesuffix("_seed") == name:
                return str(path)
    return None


def read(folders: Iterable[Path], name: str) -> str:
    """SQL that reads it. Raises SystemExit without it, unless it is one that exports leave out."""
    found = _find(folders, name)
    if found is None and name in LEFT_OUT:
        return f"(SELECT {', '.join(f'NULL::VARCHAR AS {c}' for c in LEFT_OUT[name])} LIMIT 0)"
    if found is None:
        raise SystemExit(f"no file {name}.csv in the folders given")
    return f"read_csv('{found}', header = true, all_varchar = true)"


def load(db: duckdb.DuckDBPyConnection, synthea: Path, vocabulary: Iterable[Path]) -> None:
    """Read all files into memory, ids as numbers."""
    for name in FILES:
        db.execute(f"CREATE TABLE {name} AS FROM {read([synthea], name)}")
    db.execute("CREATE TABLE states (name VARCHAR, letters VARCHAR)")
    db.executemany("INSERT INTO states VALUES (?, ?)", [[*pair] for pair in LETTERS.items()])
    for name in WORDS:
        db.execute(f"CREATE TABLE {name} AS {_numbers(db, read(vocabulary, name))}")


def _numbers(db: duckdb.DuckDBPyConnection, file: str) -> str:
    ids = [c[0] for c in db.execute(f"DESCRIBE FROM {file}").fetchall() if "concept_id" in c[0].lower()]
    return f"SELECT * REPLACE ({', '.join(f'{c}::BIGINT AS {c}' for c in ids)}) FROM {file}"


def build(synthea: Path, vocabulary: Iterable[Path]) -> duckdb.DuckDBPyConnection:
    """A database in memory with the CDM tables of TABLES."""
    db = duckdb.connect()
    load(db, synthea, vocabulary)
    for statement in STATEMENTS:
        db.execute(statement)
    return db


def main(argv: list[str]) -> int:
    """Build, print the seconds and rows of each table."""
    p = argparse.ArgumentParser(prog="python -m bench.etl_synthea", description=__doc__)
    p.add_argument("synthea", type=Path, help="Synthea's CSV files")
    p.add_argument(
        "vocabulary",
        type=Path,
        nargs="+",
        help="folders with CONCEPT, CONCEPT_RELATIONSHIP, CONCEPT_ANCESTOR (comma-separated)",
    )
    p.add_argument("--write", type=Path, help="write the tables as Parquet into this folder, untimed")
    given = p.parse_args(argv)
    started = time.monotonic()
    db = build(given.synthea, given.vocabulary)
    seconds = time.monotonic() - started
    for name in TABLES:
        (rows,) = db.execute(f"SELECT count(*) FROM {name}").fetchone() or (0,)
        print(f"{name:<22}{rows:>10}")
        if given.write:
            given.write.mkdir(parents=True, exist_ok=True)
            db.execute(f"COPY {name} TO '{given.write / name}.parquet' (FORMAT parquet)")
    print(f"{seconds:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
