"""How names, identifiers and postal codes of different senders are made comparable."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column

_WHOLE = {"Ø": "O", "Ł": "L", "Đ": "D", "Ħ": "H", "Ŧ": "T"}
_PAIRS = {"Æ": "AE", "Œ": "OE", "Þ": "TH", "Ð": "D", "ẞ": "SS"}

# Canonical name → the systems under which senders give an identifier that names one human being wherever it is used.
# A system that ends in * stands for all that begin so. A sender's own record id is never one of them.
STRONG_SYSTEMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("SSN", ("http://hl7.org/fhir/sid/us-ssn", "urn:oid:2.16.840.1.113883.4.1")),
    ("MBI", ("http://hl7.org/fhir/sid/us-mbi", "urn:oid:2.16.840.1.113883.4.927")),
    ("HICN", ("http://hl7.org/fhir/sid/us-medicare", "urn:oid:2.16.840.1.113883.4.338")),
    ("PASSPORT", ("http://hl7.org/fhir/sid/passport-*", "urn:oid:2.16.840.1.113883.4.330.*")),
    ("DRIVER", ("urn:oid:2.16.840.1.113883.4.3.*",)),
    ("MRN", ("http://hospital.smarthealthit.org",)),
)


@cache
def _accents() -> tuple[str, str]:
    """Upper-case Latin letters with marks, and the letters below the marks."""
    pairs = dict(_WHOLE)
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        letter = chr(code)
        bare = unicodedata.normalize("NFKD", letter)[0]
        if bare != letter and bare.isascii() and bare.isalpha() and letter == letter.upper():
            pairs[letter] = bare
    return "".join(pairs), "".join(pairs.values())


def normal_name(name: Column) -> Column:
    """Upper case, without accents, punctuation and blanks; NULL when nothing is left."""
    upper = F.upper(name)
    for letter, pair in _PAIRS.items():
        upper = F.replace(upper, F.lit(letter), F.lit(pair))
    bare = F.regexp_replace(F.translate(upper, *_accents()), r"[^\p{L}\p{Nd}]", "")
    return F.nullif(bare, F.lit(""))


def zip5(postal_code: Column) -> Column:
    """The first five digits of a US postal code; NULL when it has none.

    00000, which senders write for a ZIP that they do not know, is taken as sent: the other four parts of the key must agree
    as well, and a key that fits two people of one sender links nobody.
    """
    return F.nullif(F.regexp_extract(postal_code, r"^\s*(\d{5})(?:-?\d{4})?\s*$", 1), F.lit(""))


def strong_system(system: Column) -> Column:
    """Canonical name of a system whose identifiers name one person across senders; NULL for any other system.

    Of a system that stands for many (driver's licences by state, passports by country) the rest of its name is kept.
    """
    found = F.lit(None).cast("string")
    for name, systems in STRONG_SYSTEMS:
        for s in systems:
            if s.endswith("*"):
                rest = F.concat(F.lit(f"{name}:"), F.substr(system, F.lit(len(s))))
                found = F.coalesce(found, F.when(system.startswith(s[:-1]), rest))
            else:
                found = F.coalesce(found, F.when(system == F.lit(s), F.lit(name)))
    return found


def normal_identifier(system: Column, value: Column) -> Column:
    """Letters and digits of an identifier in upper case; NULL for placeholders, which many people share.

    `system` is canonical. Placeholders: all characters equal (000-00-0000, 999-99-9999), runs such as 123456789, fewer
    than five characters, words that say that there is none, and SSNs of group 00 or serial 0000, which are never
    issued. An area of 9xx is accepted: synthetic populations use 999 for all.
    """
    bare = F.regexp_replace(F.upper(value), r"[^\p{L}\p{Nd}]", "")
    placeholder = (
        (F.length(bare) < 5)
        | bare.rlike(r"^(.)\1*$")
        | bare.isin(
            "123456789",
            "987654321",
            "0123456789",
            "1234567890",
            "078051120",
            "UNKNOWN",
            "NOTAVAILABLE",
            "REFUSED",
        )
        | ((system == "SSN") & (~bare.rlike(r"^\d{9}$") | bare.rlike(r"^.{3}00") | bare.rlike("0000$")))
    )
    return F.when(~placeholder, bare)
