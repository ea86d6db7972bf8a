"""Text as SQL."""

from __future__ import annotations

import re

# `__THIS__` stands for a table in statements of Spark ML, `${...}` for a setting in every statement
_ESCAPED = re.compile(r"[^A-Za-z0-9 .,:;/()<>=+_-]|(?<=_)_")


def text_literal(text: str) -> str:
    """The literal of a text in Spark SQL, whatever stands in it: what is not plain is written by its code point."""

    def code(found: re.Match[str]) -> str:
        point = ord(found[0])
        return f"\\u{point:04X}" if point < 0x10000 else f"\\U{point:08X}"

    return f"'{_ESCAPED.sub(code, text)}'"
