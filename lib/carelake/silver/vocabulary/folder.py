"""Which files a site gives: its vocabulary folder, its own concepts, its own maps; and a mark of their content.

The mark is what enters a step's fingerprint. It does not hold the folder's path: the same files elsewhere are not loaded
again, and other files in the same place are.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from carelake.core.storage import Storage
from carelake.errors import InputError

if TYPE_CHECKING:
    from carelake.core.storage import Entry

_TABLES = (
    "concept|concept_cpt4|vocabulary|domain|concept_class|concept_relationship|relationship|concept_synonym|"
    "concept_ancestor|drug_strength"
)
_PACKED = r"\.csv(\.gz|\.bz2)?"
VOCABULARY_FILES = rf"({_TABLES})({_PACKED}|\.parquet)"
LOCAL_CONCEPT_FILES = rf"local_concept.*{_PACKED}"
LOCAL_MAP_FILES = rf"(source_to_concept_map|usagi).*{_PACKED}"
WHOLE = (
    8 << 20
)  # bytes; VOCABULARY.csv with the version of the whole, and every map that was made by hand, is smaller
END = 1 << 16  # bytes at the end of a larger file; of a gzip they hold the checksum of all of it


@dataclass(frozen=True)
class Files:
    """Files in a site's folders whose names fit; as text the mark of their content. Nothing is read before it is asked for."""

    folders: tuple[str, ...]
    names: str  # regular expression over the name in small letters

    @cached_property
    def found(self) -> tuple[Entry, ...]:
        """The files, by name. Raises InputError when a folder is missing or cannot be listed."""
        entries = [e for folder in self.folders for e in _listed(folder)]
        return tuple(
            sorted(
                (e for e in entries if re.fullmatch(self.names, e.name.lower())),
                key=lambda e: (e.name.lower(), e.path),
            )
        )

    @cached_property
    def mark(self) -> str:
        """Hash of names, sizes and contents; of a file above WHOLE bytes the content of its end alone."""
        parts = [(e.name.lower(), e.size, hashlib.sha256(_marking(e)).hexdigest()) for e in self.found]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        """The mark."""
        return self.mark

    def file(self, name: str) -> Entry | None:
        """The file NAME.csv, plain before compressed; None when the folder has none."""
        return next((e for e in self.found if e.name.lower().split(".")[0] == name.lower()), None)


def has_vocabulary(folder: str) -> bool:
    """Whether a folder holds the files without which no vocabulary can serve."""
    try:
        files = Files((folder,), VOCABULARY_FILES)
        return all(files.file(name) is not None for name in ("concept", "concept_relationship"))
    except (InputError, OSError):
        return False


def settings(vocabulary: str | None, local_maps: str | None) -> dict[str, Any]:
    """The values of the settings `vocabulary`, `local_concepts` and `local_maps` from two folders of a configuration."""
    places = tuple(dict.fromkeys(p for p in (vocabulary, local_maps) if p))
    return {
        "vocabulary": Files((vocabulary,), VOCABULARY_FILES) if vocabulary else None,
        "local_concepts": Files(places, LOCAL_CONCEPT_FILES),
        "local_maps": Files(places, LOCAL_MAP_FILES),
    }


def piece(file: Entry, start: int = 0, length: int = -1) -> bytes:
    """Bytes of a file. Raises InputError when it cannot be read."""
    try:
        return _storage(file.path).read_bytes("", start, length)
    except OSError:
        raise InputError(f"vocabulary file {file.path}: cannot be read; check its permissions") from None


def _marking(file: Entry) -> bytes:
    return piece(file) if file.size <= WHOLE else piece(file, max(0, file.size - END))


def _listed(folder: str) -> list[Entry]:
    storage = _storage(folder)
    found = [e for e in storage.files() if "/" not in e.name] if storage.exists("") else []
    if not found:
        raise InputError(
            f"vocabulary folder {folder}: is missing or empty; give the folder into which Athena's download was unpacked"
        )
    return found


def _storage(path: str) -> Storage:
    from pyspark.sql import SparkSession

    return Storage(path, SparkSession.getActiveSession())
