"""ICD codes as papers print them: ranges with both ends, dots left out."""

from __future__ import annotations

import pytest

from carelake.gold.comorbidity.charlson import CHARLSON
from carelake.gold.comorbidity.elixhauser import ELIXHAUSER
from carelake.gold.comorbidity.index import prefixes


def test_codes_and_ranges_become_prefixes_without_dots() -> None:
    assert prefixes("I25.2 425.4-425.6 042-044 C00-C02 V43.4") == [
        "I252", "4254", "4255", "4256", "042", "043", "044", "C00", "C01", "C02", "V434",
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", ["I25-J26", "425.9-425.4", "I2-I25", "B20B", "-"])
def test_what_is_no_range_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="no range"):
        prefixes(wrong)


@pytest.mark.parametrize("index", [CHARLSON, ELIXHAUSER], ids=lambda i: i.name)
def test_every_group_has_codes_of_both_classifications_and_a_weight_of_each_weighting(index) -> None:
    for group in index.groups:
        assert prefixes(group.icd10), group.name
        assert prefixes(group.icd9cm), group.name
        assert len(group.weights) == len(index.weightings)
        assert group.hidden_by is None or group.hidden_by in {g.name for g in index.groups}
