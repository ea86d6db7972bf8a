"""Text as a literal of SQL: only plain signs stand in it as they are."""

from __future__ import annotations

import pytest

from carelake.core.sql import text_literal


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("not_hispanic", "'not_hispanic'"),
        ("80 and over", "'80 and over'"),
        ("", "''"),
        ("d'Or", "'d\\u0027Or'"),
        ("a\\", "'a\\u005C'"),
        ("${env:HOME}", "'\\u0024\\u007Benv:HOME\\u007D'"),
        ("__THIS__", "'_\\u005FTHIS_\\u005F'"),
        ("\U0001f600\n", "'\\U0001F600\\u000A'"),
    ],
)
def test_what_is_not_plain_is_written_by_its_code_point(text: str, literal: str) -> None:
    assert text_literal(text) == literal
