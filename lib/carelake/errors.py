"""One exception tree; every class has one exit code. Messages name table or file, field and remedy, never a value."""

from __future__ import annotations


class CarelakeError(Exception):
    """Base of all errors that a user can act on."""

    exit_code = 1


class UsageError(CarelakeError):
    """The command line is wrong."""

    exit_code = 2


class ConfigError(CarelakeError):
    """Configuration: unknown source, key or value; a missing tool or jar; another Spark; no room on the disk."""

    exit_code = 10


class RegistryError(ConfigError):
    """The MLflow server that keeps runs and models cannot be reached."""


class InputError(CarelakeError):
    """A given path is missing, empty or unreadable."""

    exit_code = 11


class LakeError(CarelakeError):
    """The lake was written by a version with another format, or a table of it is damaged."""

    exit_code = 12


class DeclarationError(CarelakeError):
    """A Table, Step, Source or Model is declared wrongly."""

    exit_code = 12


class QualityGateError(CarelakeError):
    """The quality gate stopped a promotion."""

    exit_code = 13


class PolicyError(CarelakeError):
    """A policy forbids what was asked."""

    exit_code = 14


class LakeBusyError(CarelakeError):
    """Another run holds the lake."""

    exit_code = 15
