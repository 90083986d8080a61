from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from patchline_kit.settings import DEFAULT_PORT, ServiceSettings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("PATCHLINE_")]:
        monkeypatch.delenv(name)


def refusal(**given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(ServiceSettings, **given)
    return str(caught.value)


def test_without_an_environment_everything_runs_here_on_the_embedded_log():
    settings = load_settings(ServiceSettings)
    assert (settings.kafka, settings.mongo, settings.host, settings.port) == (
        None,
        None,
        "127.0.0.1",
        DEFAULT_PORT,
    )


def test_what_is_given_wins_over_the_environment_and_none_is_not_given(monkeypatch):
    monkeypatch.setenv("PATCHLINE_DIR", "/from/environment")
    monkeypatch.setenv("PATCHLINE_GRACE", "PT3S")
    settings = load_settings(ServiceSettings, dir=Path("/given"), port=None)
    assert (settings.dir, settings.port, settings.grace) == (
        Path("/given"),
        DEFAULT_PORT,
        timedelta(seconds=3),
    )


def test_an_empty_variable_is_not_set(monkeypatch):
    monkeypatch.setenv("PATCHLINE_KAFKA", "")
    assert load_settings(ServiceSettings).kafka is None


def test_every_wrong_variable_is_named_with_its_value(monkeypatch):
    monkeypatch.setenv("PATCHLINE_PORT", "many")
    monkeypatch.setenv("PATCHLINE_GRACE", "-PT1S")
    text = refusal()
    assert "PATCHLINE_PORT=many: input should be a valid integer" in text
    assert "PATCHLINE_GRACE=-PT1S: must be longer than nothing" in text


def test_a_duration_that_is_none_is_told_with_how_to_write_one(monkeypatch):
    monkeypatch.setenv("PATCHLINE_GRACE", "30s")
    assert refusal() == (
        "PATCHLINE_GRACE=30s: is no ISO 8601 duration: write it like PT30S, PT5M, PT2H or P1D"
    )


@pytest.mark.parametrize("servers", ["kafka", "kafka:port", "a:9092,b", ":9092"])
def test_bootstrap_servers_are_host_and_port(servers):
    assert "is not host:port" in refusal(kafka=servers)


def test_sasl_needs_a_user_and_a_password():
    assert "needs PATCHLINE_KAFKA_USERNAME and PATCHLINE_KAFKA_PASSWORD" in refusal(
        kafka_security_protocol="SASL_SSL"
    )


def test_secrets_are_never_shown(monkeypatch):
    monkeypatch.setenv("PATCHLINE_TOKEN", "very-secret")
    monkeypatch.setenv("PATCHLINE_PORT", "x")
    assert "very-secret" not in refusal() + repr(load_settings(ServiceSettings, port=1))
    assert "hidden" not in refusal(token=["hidden"])


def test_a_services_own_setting_without_a_default_is_asked_for_by_its_variable():
    class Own(ServiceSettings):
        feed_url: str

    with pytest.raises(SettingsError, match="PATCHLINE_FEED_URL is not set"):
        load_settings(Own)
