"""The rules by which the worklist proposes a next step."""

import re

from carelake.gold.features.person_features import PERSON_FEATURES
from carelake.scores import worklist


def test_every_rule_asks_for_columns_that_the_features_have():
    asked = {c for rule, _ in worklist._STEPS for c in re.findall(r"[a-z_][a-z0-9_]*", rule)}
    assert sorted(asked - set(PERSON_FEATURES.columns)) == []


def test_no_text_of_a_step_breaks_out_of_its_sql_string():
    texts = [text for _, text in worklist._STEPS] + [worklist._DEFAULT, worklist._NOTICE]
    assert [t for t in texts if "'" in t] == []
