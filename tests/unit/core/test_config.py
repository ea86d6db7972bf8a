"""Configuration refuses what it does not know."""

from datetime import date

import pytest

from carelake.core.config import load
from carelake.errors import ConfigError


def _home(tmp_path, **files):
    conf = tmp_path / "conf"
    conf.mkdir()
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
