"""Two letters of a state."""

from carelake.silver.conformed.us_state import LETTERS, letters


def test_the_list_is_the_fifty_states_the_district_and_eight_territories():
    assert len(LETTERS) == len(set(LETTERS.values())) == 59
    assert (LETTERS["massachusetts"], LETTERS["district of columbia"], LETTERS["puerto rico"]) == (
        "MA",
        "DC",
        "PR",
    )


def test_what_is_no_state_stays_as_sent():
    assert letters("STATE").startswith("CASE lower(trim(STATE)) WHEN 'alabama' THEN 'AL'")
    assert letters("STATE").endswith("ELSE STATE END")
