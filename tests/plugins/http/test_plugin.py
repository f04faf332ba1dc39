"""The plugin is found, and its configuration is checked."""

from __future__ import annotations

import pytest

from tapeline import ConfigError, Secret
from tapeline.config import parse_config
from tapeline.plugins import PluginRegistry, PluginState
from tapeline_http import HttpConfig

HERE = "127.0.0.1"


def test_it_is_installed_and_offers_the_service_http() -> None:
    record = PluginRegistry().load("http")
    assert record.state is PluginState.ACTIVE
    assert [service.name for service in record.services] == ["http", "http.webhook"]


def test_by_default_only_this_machine_reaches_it_and_nobody_changes_anything() -> None:
    config = HttpConfig()
    assert (config.host, config.token) == (HERE, None)


def _problems(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, PluginRegistry(), {})
    return dict(caught.value.problems)


def test_what_is_wrong_in_its_table_is_told_in_sentences() -> None:
    problems = _problems('[services.http]\nport = 70000\ntoken = "short"\nhots = "x"\n')
    assert problems["services.http.port"].startswith("expected")
    assert "at least 16 characters" in problems["services.http.token"]
    assert "did you mean 'host'" in problems["services.http.hots"]
    assert "short" not in problems["services.http.token"].replace("shorter", "")


def test_an_unknown_service_is_told_with_what_to_install() -> None:
    problems = _problems("[services.nagios]\n")
    assert (
        "expected an installed service (http or http.webhook), found 'nagios'"
        in str(problems)
    )


def test_the_token_is_a_secret() -> None:
    assert "abcdefghij" not in repr(HttpConfig(token=Secret("abcdefghijklmnopqr")))
