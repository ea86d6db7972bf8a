"""Record boundaries of delimited text."""

from __future__ import annotations

import io

import pytest

from carelake.bronze.source import FileProblem
from carelake.core.delimited import Record, records


class Trickle(io.BytesIO):
    """A stream that gives three bytes at a time, as one does whose blocks end anywhere."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(3)


def read(
    text: bytes, *, sep: str = ",", quoted: bool = True, columns: tuple[str, ...] = ("A", "B")
) -> list[Record]:
    """The records, which are the same however many bytes come at once."""

    def all_of(stream: io.BytesIO) -> list[Record]:
        return list(
            records(stream, sep=sep, quoted=quoted, columns=columns, required=("A",), refuse=FileProblem)
        )

    found = all_of(io.BytesIO(text))
    assert all_of(Trickle(text)) == found
    return found


def test_a_record_is_its_exact_bytes_at_its_offset_without_line_end() -> None:
    found = read(b"A,B\r\n1,x\r\n\r\n2,y")
    assert [(r.raw, r.byte_offset, r.record_no, r.problem) for r in found] == [
        (b"1,x", 5, 1, None),
        (b"2,y", 12, 2, None),
    ]
    assert found[0].header == "A,B"


def test_a_byte_order_mark_belongs_to_no_record() -> None:
    (record,) = read(b"\xef\xbb\xbfA,B\n1,x\n")
    assert (record.values, record.byte_offset, record.header) == (["1", "x"], 7, "A,B")


def test_a_quoted_field_may_hold_separators_quotes_and_line_ends() -> None:
    first, second = read(b'A,B\n1,"x, ""y""\r\n\r\nz"\n2,q\n')
    assert first.raw == b'1,"x, ""y""\r\n\r\nz"'
    assert first.values[1] == 'x, "y"\r\n\r\nz'
    assert (second.raw, second.byte_offset, second.problem) == (b"2,q", 22, None)


def test_a_stray_quote_spoils_its_own_line_only() -> None:
    found = read(b'A,B\n1,x\n2,"y\n3,z\n4,"w"\n')
    assert [(r.raw, r.problem) for r in found] == [
        (b"1,x", None),
        (b'2,"y', "R_SYNTAX:quotes"),
        (b"3,z", None),
        (b'4,"w"', None),
    ]


def test_two_stray_quotes_do_not_swallow_what_stands_between() -> None:
    found = read(b'A,B\n1,"x\n2,y\n3,"z\n4,w\n')
    assert [r.problem for r in found] == ["R_SYNTAX:quotes", None, "R_SYNTAX:quotes", None]


def test_columns_are_matched_without_case_and_blanks() -> None:
    (record,) = read(b'b,"a"\nx,1\n')
    assert record.values == ["1", "x"]


def test_too_few_or_too_many_fields_are_named() -> None:
    assert [r.problem for r in read(b"A,B\n1\n1,2,3\n1,2\n")] == [
        "R_FIELD_COUNT:columns",
        "R_FIELD_COUNT:columns",
        None,
    ]


def test_bytes_that_are_no_characters_and_control_characters_are_named() -> None:
    assert [r.problem for r in read(b"A,B\n1,\xe9\n2,\x00\n")] == [
        "R_ENCODING:utf8",
        "R_CONTROL_CHAR:control",
    ]


def test_quotes_mean_nothing_in_unquoted_text() -> None:
    assert [r.values for r in read(b'A|B\n1|"x\n', sep="|", quoted=False)] == [["1", '"x']]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "F_EMPTY"),
        (b"\n\n", "F_EMPTY"),
        (b"B,C\n1,2\n", "F_HEADER"),
        (b"1,2\n3,4\n", "F_HEADER"),
        (b"A,A\n1,2\n", "F_HEADER"),
        (b"A;B\n1;2\n", "F_HEADER"),
        (b"%PDF-1.4\n1 0 obj\n", "F_WRONG_FORMAT"),
        (b"\xff\xfeA\x00,\x00B\x00\n\x00", "F_ENCODING"),
        (b"A,\xe9\n1,2\n", "F_ENCODING"),
    ],
)
def test_a_file_is_refused_whole(text: bytes, reason: str) -> None:
    with pytest.raises(FileProblem) as refused:
        read(text)
    assert refused.value.reason == reason


def test_a_header_alone_is_a_legal_empty_file() -> None:
    assert read(b"A,B\n") == []


def test_of_alternative_columns_the_first_that_the_file_has_counts_and_one_it_lacks_is_blank() -> None:
    (record,) = read(b"A,STOP,DATE\n1, x ,y\n", columns=("START|DATE|STOP", "A", "CODE"))
    assert record.values == ["y", "1", ""]


def test_a_line_without_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carelake.core.delimited.MAX_RECORD", 8)
    assert [r.values for r in read(b"A,B\n123,456\n")] == [["123", "456"]]
    for text in (b"A,B\n123,4567\n", b"A,B\n1,2\n" + b"x" * 50):
        stream = Trickle(text)
        with pytest.raises(FileProblem) as refused:
            list(records(stream, sep=",", quoted=True, columns=("A",), refuse=FileProblem))
        assert str(refused.value) == "F_SYNTAX:line_too_long"
        assert stream.tell() <= 21


def test_a_bad_byte_names_its_own_record_and_no_neighbour() -> None:
    found = read(b'A,B\n1,x\n\xff2,\xc3\xa9\n3,\x01\n4,\xc3\xa9\n5,"\xff"\n6,y\n')
    assert [r.problem for r in found] == [
        None,
        "R_ENCODING:utf8",
        "R_CONTROL_CHAR:control",
        None,
        "R_ENCODING:utf8",
        None,
    ]
    assert found[3].values == ["4", "é"]
