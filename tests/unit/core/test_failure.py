"""What Spark and the system say of a full disk or a damaged file becomes one sentence without a value."""

from __future__ import annotations

import errno
import os

import pytest

from carelake.core.failure import damaged, explained
from carelake.errors import ConfigError, LakeError

ROOT = "/data/a lake"


class JavaError(Exception):
    """As py4j raises it: Java's own error behind it."""

    def __init__(self, *chain):
        super().__init__("An error occurred while calling o1.save")
        self.java_exception = None
        for text in reversed(chain):
            self.java_exception = Java(text, self.java_exception)


class Java:
    def __init__(self, text, cause):
        self.text, self.cause = text, cause

    def toString(self):
        return self.text

    def getCause(self):
        return self.cause


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        JavaError(
            "SparkException: Job aborted, row is Smith", "java.io.IOException: No space left on device"
        ),
    ],
    ids=["system", "quota", "spark"],
)
def test_a_full_disk_names_the_folder_and_the_remedy(error):
    said = explained(error, ROOT)
    assert isinstance(said, ConfigError)
    assert ROOT in str(said) and "make room" in str(said) and "Smith" not in str(said)


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("file:///data/a%20lake/silver/omop/person/part-0.parquet", "silver/omop/person"),
        ("file:/data/a lake/bronze/fhir/kind=Patient/part-0.parquet", "bronze/fhir"),
        ("/data/a lake/ops/file/_delta_log/00000000000000000001.json", "ops/file"),
    ],
)
def test_damage_names_the_table(path, table):
    said = explained(
        JavaError(
            "SparkException: Smith",
            f"[FAILED_READ_FILE.NO_HINT] Encountered error while reading file {path}. ",
        ),
        ROOT,
    )
    assert isinstance(said, LakeError)
    assert str(said).startswith(f"{table}: ") and "Smith" not in str(said)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("planted"),
        JavaError(
            "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:/elsewhere/silver/x/part-0.parquet"
        ),
        JavaError("[CAST_INVALID_INPUT] Smith"),
    ],
)
def test_what_is_neither_stays_what_it_is(error):
    assert explained(error, ROOT) is None


def test_a_bucket_that_is_not_there_is_no_damage():
    said = explained(
        JavaError(
            "DeltaException: Smith",
            "org.apache.hadoop.fs.s3a.UnknownStoreException: s3a://no/lake/ops/run/_delta_log: ... NoSuchBucket",
        ),
        "s3a://no/lake",
    )
    assert isinstance(said, ConfigError)
    assert str(said).startswith("the lake s3a://no/lake cannot be written: check the path")


def test_the_remedy_is_the_layers():
    assert "pipeline --full" in str(damaged("gold/utilisation"))
    assert "--full" not in str(damaged("bronze/fhir"))
    assert "copy" in str(damaged("ops/file"))
