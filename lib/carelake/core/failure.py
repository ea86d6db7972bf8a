"""What a failure of the disk or damage of a file means to who runs a job: a sentence that names the table and the remedy."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from carelake.errors import CarelakeError, ConfigError, LakeError

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the system, the JVM and Hadoop say; looked for in messages that are never shown, since they may hold values.
_FULL = ("No space left on device", "Disk quota exceeded", "File too large", "not enough space")
_DAMAGED = (
    "FAILED_READ_FILE", "PATH_NOT_FOUND", "DELTA_FILE_NOT_FOUND", "DELTA_VERSIONS_NOT_CONTIGUOUS", "DELTA_STATE_RECOVER_ERROR",
    "DELTA_TRUNCATED_TRANSACTION_LOG", "DELTA_LOG_FILE_NOT_FOUND", "CANNOT_READ_FILE_FOOTER", "ChecksumException",
    "FileNotFoundException", "is not a Parquet file", "JsonParseException",
)  # fmt: skip
_NO_STORE = ("UnknownStoreException", "NoSuchBucket")
_LAYERS = ("bronze", "silver", "gold", "ops")


@contextmanager
def in_words(root: str) -> Iterator[None]:
    """What fails inside for want of room or by damage is raised as a sentence: what Spark says of it may hold a value."""
    try:
        yield
    except CarelakeError:
        raise
    except Exception as e:
        told = explained(e, root)
        if told is None:
            raise
        raise told from None


def explained(error: BaseException, root: str) -> CarelakeError | None:
    """The error that says what happened to the lake below `root`; None when it is no full disk, missing bucket or damage."""
    said = list(_messages(error))
    if any(sign in text for text in said for sign in _NO_STORE):
        return unreachable(root)
    if any(sign in text for text in said for sign in _FULL):
        return ConfigError(
            f"there is no room left where the lake {root} lies, or in Spark's local folder: "
            "make room and run the same command again"
        )
    if any(sign in text for text in said for sign in _DAMAGED):
        names = [n for text in said for t in (text, unquote(text)) for n in _tables(t, root)]
        if names:
            return damaged(names[0])
    return None


def unreachable(root: str) -> ConfigError:
    """The error of a lake whose place cannot be used."""
    return ConfigError(
        f"the lake {root} cannot be written: check the path and, of a store, bucket and credentials"
    )


def damaged(table: str, what: str = "a file of its data or log is damaged or missing") -> LakeError:
    """The error of a damaged table, with what can be done about it."""
    return LakeError(f"{table}: {what}: see quality --storage; {_remedy(table)}")


def _remedy(table: str) -> str:
    if table.startswith("bronze/"):
        return "restore it from a copy, or land the sender's files again in a new lake"
    if table.startswith(("silver/", "gold/")):
        return "pipeline --full makes it anew from bronze"
    return "restore it from a copy"


def _messages(error: BaseException) -> Iterator[str]:
    """Messages of an error, of those that led to it, and of Java's behind them."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield str(one)
        java: Any = getattr(one, "_origin", None) or getattr(one, "java_exception", None)
        for _ in range(20):
            if java is None:
                break
            yield str(java.toString())
            java = java.getCause()
        one = one.__cause__ or one.__context__


def _tables(text: str, root: str) -> Iterator[str]:
    """Tables of the lake of which a file is named: the folders below the root down to its log, a partition or a file."""
    for found in re.finditer(re.escape(root.rstrip("/")) + r"/([^\s'\"]+)", text):
        folders = []
        for part in found[1].split("/")[:-1]:
            if part == "_delta_log" or "=" in part:
                break
            folders.append(part)
        if len(folders) > 1 and folders[0] in _LAYERS and not folders[1].startswith("_"):
            yield "/".join(folders)
