"""How much room a landing asks for, and what it says where there is less."""

from carelake.bronze.room import MIB, needed, shortage


def test_a_landing_asks_for_as_much_as_its_text_has_and_a_quarter_gibibyte():
    assert needed(1) == 268435457
    assert needed(1000 * MIB) == 1256 * MIB


def test_what_was_landed_before_asks_for_nothing():
    assert needed(0) == 0
    assert shortage("/lake", 0, 0) is None


def test_a_shortage_names_the_lake_what_is_free_what_is_asked_for_and_the_remedy():
    assert shortage("/data/lake", 1256 * MIB, 1000 * MIB) is None
    assert shortage("/data/lake", 1256 * MIB - 1, 1000 * MIB) == (
        "the lake /data/lake has 1255 MiB free, and what is new, 1000 MiB of text, asks for 1256: "
        "free some there, or give --lake a folder on a larger disk"
    )
