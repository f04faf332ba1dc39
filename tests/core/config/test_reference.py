"""The generated reference, the template and the environment."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from tapeline.config import (
    CollectorSection,
    Defaults,
    RuntimeConfig,
    SinkSection,
    describe_config,
    describe_options,
    parse_config,
    template,
)
from tapeline.config.describing import describe_environment, toml_value
from tapeline.errors import ConfigError
from tapeline.model import Secret
from tapeline.plugins.registry import PluginRegistry


def test_every_key_is_described() -> None:
    described = {(key.section, key.key) for key in describe_config()}
    for cls, section in (
        (RuntimeConfig, "runtime"),
        (CollectorSection, "collectors.NAME"),
        (SinkSection, "sinks.NAME"),
    ):
        names = {field.name for field in attrs.fields(cls)} - {"name"}
        names -= {"options"} if cls is SinkSection else set()
        assert names == {key for where, key in described if where == section}
    for key in (*describe_config(), *describe_environment()):
        assert key.description.endswith(".")
        assert key.type


def test_described_defaults_are_toml() -> None:
    for key in describe_config():
        if key.default not in ("", "required"):
            tomllib.loads(f"x = {key.default}")


def test_options_of_a_plugin_are_described(acme_config: type[Any]) -> None:
    keys = {key.key: key for key in describe_options(acme_config, "options")}
    assert keys["depth"][2:4] == ("integer", "5")
    assert keys["region"][2:4] == ("one of europe or world", '"world"')
    assert keys["hosts"][2:4] == ("list of text", "[]")
    assert keys["weights"][2:4] == ("list of integer", "[]")
    assert keys["secret"][2:4] == ("secret", "")
    assert keys["labels"][2:4] == ("table", "{}")


def test_a_default_secret_is_described_by_its_mask() -> None:
    assert toml_value(Secret("abcdef")) == '"<secret>"'
    assert toml_value(Path("a\\b")) == '"a\\\\b"'


def test_the_template_loads_as_it_is(plugins: PluginRegistry) -> None:
    config = parse_config(template(["acme"], "store"), plugins, {})
    assert config.runtime == RuntimeConfig()
    collector = config.collectors["acme-majors"]
    assert collector.timeframes == ("1s", "1m", "1h")
    assert collector.data_types == ("trade", "orderbook", "ticker", "candle")
    assert list(config.sinks) == ["local"]


def test_the_template_loads_with_every_line_uncommented(
    plugins: PluginRegistry,
) -> None:
    whole = re.sub(r"(?m)^# (\w+ = |\[)", r"\1", template(["acme"], "store"))
    # It merges two exchanges, and here is one.
    head, _, rest = whole.partition("# One stream of trades and candles")
    text = head + rest[rest.index("# Without any sink") :]
    environ = {"HTTPS_PROXY": "http://user:pw@localhost:3128"}
    config = parse_config(text, plugins, environ)
    assert config.runtime == RuntimeConfig(proxy=Secret(environ["HTTPS_PROXY"]))
    assert config.sinks["local"].use == "store"
    shown = {key.key for key in describe_config() if key.key not in ("use", "options")}
    assert shown <= set(re.findall(r"(?m)^(\w+) = ", whole))


def test_defaults_come_from_the_environment() -> None:
    assert Defaults.from_environ({}) == Defaults()
    assert Defaults() == Defaults(30.0, 300.0, 5, 5.0, False, False)
    environ = {
        "DEFAULT_HEALTH_CHECK_INTERVAL": "10",
        "MAX_SILENCE_DURATION": "60.5",
        "MAX_RECONNECT_ATTEMPTS": " 3 ",
        "RECONNECT_DELAY": "",
        "VERBOSE_LOGGING": "True",
        "LOG_TO_CONSOLE": "off",
    }
    assert Defaults.from_environ(environ) == Defaults(10.0, 60.5, 3, 5.0, True, False)


def test_defaults_read_the_process_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECONNECT_DELAY", "2.5")
    assert Defaults.from_environ().reconnect_delay_s == 2.5


@pytest.mark.parametrize(
    ("variable", "text", "found"),
    [
        ("DEFAULT_HEALTH_CHECK_INTERVAL", "soon", "'soon'"),
        ("DEFAULT_HEALTH_CHECK_INTERVAL", "0", "'0'"),
        ("MAX_SILENCE_DURATION", "nan", "'nan'"),
        ("MAX_SILENCE_DURATION", "1e9", "'1e9'"),
        ("MAX_RECONNECT_ATTEMPTS", "0", "'0'"),
        ("MAX_RECONNECT_ATTEMPTS", "2.5", "'2.5'"),
        ("MAX_RECONNECT_ATTEMPTS", "9" * 5000, "999…"),
        ("RECONNECT_DELAY", "-1", "'-1'"),
        ("VERBOSE_LOGGING", "maybe", "'maybe'"),
    ],
)
def test_a_bad_variable_is_told(variable: str, text: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Defaults.from_environ({variable: text, "LOG_TO_CONSOLE": "2"})
    problems = dict(caught.value.problems)
    assert set(problems) == {variable, "LOG_TO_CONSOLE"}
    assert problems[variable].startswith("expected ")
    assert found in problems[variable]
