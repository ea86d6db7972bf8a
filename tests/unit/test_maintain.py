"""What maintain decides: which tables are scattered, and what a publication says after versions moved."""

from __future__ import annotations

from carelake.core.runlog import Published
from carelake.maintain import has_small_files, republished


def test_many_small_files_in_one_folder_are_many_and_as_many_in_several_are_not():
    assert has_small_files({f"kind=a/{n}": 10 for n in range(9)}, 1000, 8)
    assert not has_small_files({f"kind=a/{n}": 10 for n in range(8)}, 1000, 8)
    assert not has_small_files({f"kind={n}/part": 10 for n in range(50)}, 1000, 8)
    assert not has_small_files({f"{n}": 600 for n in range(50)}, 1000, 8), "half full is full enough"


def test_a_publication_names_the_new_versions_of_its_tables_and_of_what_they_were_made_from():
    before = {
        "silver/a": Published(3, "code a", {"bronze/x": 7, "extract_date": 20240901}),
        "silver/b": Published(7, "code b", {"silver/a": 3, "bronze/x": 6}),
    }
    after = republished(before, {("bronze/x", 7): 8, ("silver/a", 3): 4})
    assert after == {
        "silver/a": Published(4, "code a", {"bronze/x": 8, "extract_date": 20240901}),
        "silver/b": Published(7, "code b", {"silver/a": 4, "bronze/x": 6}),
    }
    assert republished(before, {}) == before
