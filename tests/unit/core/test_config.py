"""Configuration refuses what it does not know."""

from datetime import date

import pytest

from carelake.core.config import load
from carelake.errors import ConfigError


def _home(tmp_path, **files):
    conf = tmp_path / "conf"
    conf.mkdir(parents=True)
    texts = {"base": "write_threads: 3", "local": "{}", "sources": "ehr: {format: fhir, priority: 5}"} | files
    for name, text in texts.items():
        (conf / f"{name}.yaml").write_text(text)
    return tmp_path


def test_an_environment_overrides_the_base_and_a_senders_keys(tmp_path):
    home = _home(tmp_path, local="write_threads: 1\nsources: {ehr: {time_zone: Europe/Berlin}}")
    config = load("local", home)
    assert config.write_threads == 1
    assert (config.sender("ehr").priority, config.sender("ehr").time_zone) == (5, "Europe/Berlin")


def test_the_sample_takes_a_senders_own_keys_and_adds_its_path(tmp_path):
    home = _home(tmp_path, local="sample: {ehr: {path: sample/fhir, extract_date: 2024-09-01}}")
    (sample,) = load("local", home).sample
    assert (sample.priority, sample.path, sample.extract_date) == (
        5,
        f"{tmp_path}/sample/fhir",
        date(2024, 9, 1),
    )


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"local": "writer_threads: 1"}, "unknown key 'writer_threads'"),
        ({"sources": "ehr: {format: fhir, timezone: UTC}"}, "unknown key 'timezone'"),
        ({"sources": "ehr: {priority: 1}"}, "format is missing"),
        ({"sources": "ehr: {format: fhir, priority: high}"}, "priority must be int"),
        ({"sources": "'../ehr': {format: fhir}"}, "small letters"),
        ({"local": "[1, 2]"}, "must be a mapping"),
        ({"local": "a: [1"}, "not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, files, says):
    with pytest.raises(ConfigError, match=says):
        load("local", _home(tmp_path, **files))


def test_a_missing_environment_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no configuration other"):
        load("other", _home(tmp_path))


def test_exceptions_of_quality_are_shared_and_an_environment_adds_to_them(tmp_path):
    shared = "exclude_tables: {NOTE: none}\nthresholds: [{check: c, table: T, percent: 5, reason: because}]\ndrift: {psi: 0.2}"
    own = "quality: {exclude_tables: {DEATH: none}, thresholds: [{check: c, table: T, percent: 50.5, reason: here}], drift: {rows: 1}}"
    found = load("local", _home(tmp_path, quality=shared, local=own)).quality
    assert set(found.exclude_tables) == {"NOTE", "DEATH"}
    assert [(t.percent, t.reason) for t in found.thresholds] == [(5, "because"), (50.5, "here")]
    assert (found.drift.rows, found.drift.psi) == (1, 0.2)


def test_fatal_and_convention_stop_a_promotion_unless_said_otherwise(tmp_path):
    assert load("local", _home(tmp_path)).gate == ("fatal", "convention")
    assert load("local", _home(tmp_path / "other", local="gate: []")).gate == ()


@pytest.mark.parametrize(
    ("quality", "says"),
    [
        ("tables: []", "unknown key 'tables'"),
        ("thresholds: [{check: c, table: T, percent: 5, reason: ' '}]", "exception for c has no reason"),
        ("thresholds: [{check: c, table: T, percent: 5}]", "reason is missing"),
        (
            "thresholds: [{check: c, table: T, percent: 101, reason: r}]",
            "threshold of c of T is no percentage",
        ),
        ("thresholds: [{check: c, table: T, percent: much, reason: r}]", "percent must be float"),
        ("exempt: [fkDomain]", "exempt is a list of mappings"),
        ("exclude_tables: {NOTE: }", "exception for NOTE has no reason"),
        ("drift: {psi: high}", "psi must be float"),
    ],
)
def test_an_exception_that_cannot_be_understood_is_refused(tmp_path, quality, says):
    with pytest.raises(ConfigError, match=says):
        load("local", _home(tmp_path, quality=quality))


def test_a_severity_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="gate takes a list of severities, of fatal, convention"):
        load("local", _home(tmp_path, local="gate: [fatale]"))


def test_of_a_cdm_that_came_as_it_is_the_lakes_own_checks_alone_stop_unless_said_otherwise(tmp_path):
    assert load("local", _home(tmp_path)).gate_brought == ("own",)
    said = load("local", _home(tmp_path / "other", local="gate_brought: [own, fatal]"))
    assert said.gate_brought == ("own", "fatal")
