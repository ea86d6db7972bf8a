"""What is said of the scans of a step."""

from __future__ import annotations

from bench.features import Scan, Told, by_table, once, row

SCANS = (
    Scan("/lakes/a/silver/omop/person/part-0.parquet", 5),
    Scan("/lakes/a/silver/omop/visit_occurrence", 40),
    Scan("/lakes/a/gold/task_cohort/part-1.parquet", 3),
    Scan("/lakes/a/silver/omop/person", 5),
)


def test_scans_are_counted_by_table_whether_a_folder_or_its_files_are_read() -> None:
    assert by_table(SCANS, "/lakes/a") == {
        "gold/task_cohort": (1, 3), "silver/omop/person": (2, 10), "silver/omop/visit_occurrence": (1, 40),
    }  # fmt: skip


def test_a_table_that_is_read_twice_is_named() -> None:
    told = Told("gold/x", 1.0, 3.0, 7, SCANS, 2)
    assert once(told, "/lakes/a") == "gold/x reads 3 tables, **not each once**: silver/omop/person 2 times."
    assert once(Told("gold/x", 1.0, 3.0, 7, SCANS[:3], 2), "/lakes/a") == "gold/x reads 3 tables, each once."


def test_a_row_tells_the_rows_read_in_a_second_of_planning_and_making() -> None:
    assert row(Told("gold/x", 1.0, 1.9, 7, SCANS, 2)) == "| gold/x | 1.0 | 1.9 | 7 | 4 | 53 | 2 | 18 |"
