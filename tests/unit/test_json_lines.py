"""Records of newline-delimited JSON."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        (b'{"a":' * 100 + b"1" + b"}" * 100, True, None),
        (b'[{"a":' * 51 + b"1" + b"}]" * 51, True, "R_TOO_DEEP:nesting"),
        (b'{"a":[' + b",".join([b"[{}]"] * 200) + b"]}", True, None),
        (b'{"a": 1.50, "b": 1E2, "a": ":"}', True, "R_SYNTAX:duplicate_key"),
        (b'{"a:": 1.50, "b": ":::"}', True, None),
        (b'{"a":01}', True, "R_SYNTAX:not_json"),
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


class _Pairs(list[tuple[str, object]]):
    """An object whose keys may come twice."""


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(st.text(max_size=2), inner), max_size=3).map(_Pairs),
    max_leaves=8,
)  # fmt: skip


def _written(value: object, gap: str) -> str:
    if isinstance(value, _Pairs):
        return "{" + ",".join(f"{json.dumps(k)}:{gap}{_written(v, gap)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + f",{gap}".join(_written(v, gap) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


@given(_VALUES, st.sampled_from(["", " "]), st.integers(0, 60), st.binary(max_size=2), st.integers(0, 2))
def test_the_fast_parser_says_what_the_strict_one_says_or_nothing(
    value: object, gap: str, at: int, planted: bytes, over: int
) -> None:
    text = _written(value, gap).encode("utf-8", "surrogatepass")
    for raw in (text, text[:at] + planted + text[at + over :]):
        quick = json_lines._quickly(raw)
        if quick is not None:
            assert repr(quick) == repr(json_lines._strictly(raw, ended=True))
