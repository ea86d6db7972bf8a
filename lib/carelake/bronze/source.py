"""Source: a format's record shape, reader and mappings into the contracts."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from carelake.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import DataFrame

    from carelake.bronze.parts import Divides
    from carelake.core.table import Table


class Unit(NamedTuple):
    """One record as found in a file. Nothing is parsed beyond what these fields need."""

    kind: str  # see Source.kinds; 'unknown' when the record does not say and the file does not either
    # The record's own key within (sender, kind): FHIR id, claim id + line ...; NULL when it has none.
    key: str | None
    # The source's own version time, ISO 8601 with offset (meta.lastUpdated); NULL when none.
    version_at: str | None
    raw: bytes  # exactly as sent, without the line end
    byte_offset: (
        int  # first byte in the decompressed file; of a Parquet file, whose rows have none, the row from 0
    )
    record_no: int  # from 1
    problem: str | None = None  # "R_CLASS:rule" when the record is structurally bad (REASONS classes)
    header: str | None = None  # the file's header line, for delimited text


def base_name(path: str) -> str:
    """The name of a file without its folders."""
    return path.rsplit("/", 1)[-1]


class FileProblem(Exception):  # noqa: N818 - a finding about a file, which is counted, no error of the program
    """A whole file is refused. `reason` is an F_ class; the message names no value."""

    def __init__(self, reason: str, rule: str, kind: str | None = None) -> None:
        """`reason` such as F_ENCODING, `rule` what was violated, `kind` the file's; none with a value of a record."""
        super().__init__(f"{reason}:{rule}")
        self.reason = reason
        self.rule = rule
        self.kind = kind


@dataclass(frozen=True)
class Mapping:
    """Bronze rows of some kinds → rows of one contract."""

    kinds: tuple[str, ...]
    into: Table
    transform: Callable[[DataFrame], DataFrame]
    counts: bool  # the ledger counts a record by the mapping of its kind that counts
    beside: tuple[str, ...] = ()  # kinds that it reads to resolve references, and makes no row of
    # (own records, changed records of `beside`) → those of the own that depend on these; without it all of them do.
    refers: Callable[[DataFrame, DataFrame], DataFrame] | None = None
    whole: bool = False  # makes one row of any number of records: no part of it can be made without the rest

    @property
    def name(self) -> str:
        """The function's name."""
        return self.transform.__name__


@dataclass(frozen=True)
class Source:
    """A format. `units` reads one decompressed stream; it raises FileProblem to refuse the file whole."""

    format: str
    doc: str
    files: tuple[str, ...]  # glob patterns (lower case) of the file names that it reads, without .gz
    units: Callable[[BinaryIO, str], Iterator[Unit]]  # (decompressed stream, file name) → units
    # All kinds that may land; a kind without a counting mapping is excluded in the ledger.
    kinds: frozenset[str]
    not_records: tuple[str, ...] = ()  # globs of files that belong to such a folder but hold no records
    extract_date: Callable[[str, str], str | None] = lambda path, head: None  # (path, first 4 kB) → ISO date
    # (decompressed stream, file name) → ISO date; of a format of which one file, read as records, says the date of all.
    dated: Callable[[BinaryIO, str], str | None] | None = None
    # What names a file, from its path below the one given: of a format whose files may be folders of parts, not the last name.
    file_name: Callable[[str], str] = base_name
    # How a large file of this name is divided among tasks; None: what a record is depends on those before it.
    divides: Callable[[str], Divides | None] = lambda name: None
    # Files are the tables of a CDM, kept as they are (silver/omop/brought.py); such a sender has its lake to itself.
    brings_cdm: bool = False
    # Kinds of which all versions are mapped, not the latest alone.
    versions_kept: frozenset[str] = frozenset()
    # SQL over record_key, by kind: what the records share that must be mapped together, such as a claim of its lines.
    together: dict[str, str] = field(default_factory=dict)
    mappings: list[Mapping] = field(default_factory=list)

    def reads(self, name: str) -> bool:
        """Whether a file of this name (with or without .gz) is one of the format's."""
        bare = name.lower().removesuffix(".gz")
        return any(fnmatch.fnmatch(bare, p) for p in self.files) and not self.ignores(name)

    def kind_of_file(self, name: str) -> str:
        """The kind that a file's name tells, as for a file that is refused before any record says its own."""
        stem = name.removesuffix(".gz").split(".")[0]
        tries = (stem, stem.removesuffix("_merged"), re.sub(r"_[0-9]+$", "", stem))
        known = self.kinds - {"unknown"}
        return next((t for t in tries if t in known), next(iter(known)) if len(known) == 1 else "unknown")

    def ignores(self, name: str) -> bool:
        """Whether a file of this name belongs to the format's folders without holding records."""
        bare = name.lower().removesuffix(".gz")
        return any(fnmatch.fnmatch(bare, p) for p in self.not_records)

    def mapping(
        self,
        *,
        kind: str | tuple[str, ...],
        into: Table,
        counts: bool = True,
        beside: tuple[str, ...] = (),
        refers: Callable[[DataFrame, DataFrame], DataFrame] | None = None,
        whole: bool = False,
    ) -> Callable[[Callable[[DataFrame], DataFrame]], Callable[[DataFrame], DataFrame]]:
        """Declare that the decorated function maps bronze rows of `kind` into the contract `into`.

        The function gets: `raw` (string), `header` (string), `record_key`, `version_at` (timestamp), `is_latest`,
        `extract_date` (date), `sender` (struct of the sender's configuration: name, time_zone, shift_days,
        type_concept_id) and `_at` (lineage). It must pass `_at` on, may add `_part` (int, from 0), `_problems`
        (array of "R_CLASS:rule", NULL entries allowed) and `_excluded` (rule under which the record is left out).
        Records of the kinds `beside` come with them, only to be referred to; `refers` finds those that refer to some. A record is mapped
        by itself or with those that Source.together names; a mapping that needs all of its kinds says `whole`.
        Raises DeclarationError when a kind is unknown or counted twice.
        """
        kinds = (kind,) if isinstance(kind, str) else kind

        def declare(function: Callable[[DataFrame], DataFrame]) -> Callable[[DataFrame], DataFrame]:
            for k in (*kinds, *beside):
                if k not in self.kinds:
                    raise DeclarationError(
                        f"source {self.format}: {function.__name__} maps {k}, which is no kind of it"
                    )
                if counts and k in kinds and any(m.counts and k in m.kinds for m in self.mappings):
                    raise DeclarationError(f"source {self.format}: kind {k} is counted by two mappings")
            self.mappings.append(Mapping(kinds, into, function, counts, beside, refers, whole))
            return function

        return declare
