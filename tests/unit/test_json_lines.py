"""Records of newline-delimited JSON."""

from __future__ import annotations

import io

import pytest

from carelake.core import json_lines
from carelake.core.json_lines import LineTooLong, is_wide, lines, parse


def test_a_line_knows_its_place_among_blank_lines_and_crlf() -> None:
    found = list(lines(io.BytesIO(b'{"a":1}\r\n\r\n  \n{"b":"\xc3\xa9"}\n[]')))
    assert [(x.raw, x.byte_offset, x.record_no, x.ended) for x in found] == [
        (b'{"a":1}', 0, 1, True),
        (b'{"b":"\xc3\xa9"}', 14, 2, True),
        (b"[]", 25, 3, False),
    ]


def test_a_byte_order_mark_belongs_to_no_record() -> None:
    assert [(x.raw, x.byte_offset) for x in lines(io.BytesIO(b"\xef\xbb\xbf{}\n{}\n"))] == [
        (b"{}", 3),
        (b"{}", 6),
    ]


def test_a_line_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE", 10)
    assert len(list(lines(io.BytesIO(b"123456789\n" * 3)))) == 3
    with pytest.raises(LineTooLong):
        list(lines(io.BytesIO(b"1234567890\n")))


@pytest.mark.parametrize(
    ("raw", "ended", "problem"),
    [
        (b'{"a":[1,{"b":null}]}', True, None),
        (b'{"a":"x","a":"x"}', True, "R_SYNTAX:duplicate_key"),
        (b'{"a":{"b":1,"b":2}}', True, "R_SYNTAX:duplicate_key"),
        (b'{"a":1},', True, "R_SYNTAX:not_json"),
        (b"{'a':1}", True, "R_SYNTAX:not_json"),
        (b'{"a":NaN}', True, "R_SYNTAX:not_json"),
        (b'{"a":"xy', True, "R_SYNTAX:not_json"),
        (b'{"a":"xy', False, "R_TRUNCATED:cut_by_end_of_file"),
        (b'{"a":"\xc3', False, "R_TRUNCATED:cut_by_end_of_file"),
        (b'{"a":"\xe9"}', True, "R_ENCODING:not_utf8"),
        (b'{"a":"\xe9"}', False, "R_ENCODING:not_utf8"),
        (b'{"a":"\\ud83d"}', True, "R_ENCODING:lone_surrogate"),
        (b'{"a":"\\ud83d\\ude00"}', True, None),
        (b'{"a":"x\x00"}', True, "R_CONTROL_CHAR:raw"),
        (b'{"a":"\\u0000"}', True, "R_CONTROL_CHAR:escaped"),
        (b'{"a":"\\\\u0000"}', True, None),
        (b'{"a":"\\u000a\\f"}', True, None),
        (b"[" * 100 + b"]" * 100, True, None),
        (b"[" * 101 + b"]" * 101, True, "R_TOO_DEEP:nesting"),
        (b"[" * 9000 + b"]" * 9000, True, "R_TOO_DEEP:nesting"),
        (b'["' + b"[" * 200 + b'"]', True, None),
    ],
)
def test_a_text_is_parsed_strictly(raw: bytes, ended: bool, problem: str | None) -> None:
    assert parse(raw, ended=ended).problem == problem


def test_wide_encodings_are_recognised() -> None:
    assert (
        is_wide("{}".encode("utf-16"))
        and is_wide("{}".encode("utf-16-le"))
        and is_wide("{}".encode("utf-32"))
    )
    assert not is_wide(b'{"a":1}')
