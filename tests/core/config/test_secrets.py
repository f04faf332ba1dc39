"""A secret is used, and seen nowhere."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from tapeline.config import TapelineConfig, structure_options
from tapeline.errors import ConfigError
from tapeline.log_output import SecretFilter, TextFormatter
from tapeline.model import Secret
from tapeline.model.secrets import MASK, mask, register_secret

CANARY = "c4n4ry-päss/word+1"

Load = Callable[..., TapelineConfig]
Problems = Callable[..., list[tuple[str, str]]]

TEXT = """
[runtime]
proxy = "env:PROXY"
[collectors.c]
exchange = "acme"
symbols = ["BTC-USDT"]
[collectors.c.options]
ws_url = "env:CANARY"
secret = "env:CANARY"
hosts = ["env:CANARY"]
labels = {a = "env:CANARY"}
keys = [{api_key = "env:CANARY"}]
[sinks.s]
use = "store.box"
dsn = "env:CANARY"
"""
ENVIRON = {"CANARY": CANARY, "PROXY": f"http://u:{CANARY.replace('/', '')}@h:1"}


@pytest.fixture
def config(load: Load) -> TapelineConfig:
    """A configuration with the canary wherever a text may be a secret."""
    return load(TEXT, ENVIRON)


def test_the_texts_are_there_to_be_used(config: TapelineConfig) -> None:
    options: Any = config.collectors["c"].options
    assert options.secret.reveal() == CANARY
    assert options.keys[0].api_key.reveal() == CANARY
    assert options.ws_url == CANARY
    assert (options.hosts, options.labels) == ((CANARY,), {"a": CANARY})
    assert config.runtime.proxy is not None
    assert config.runtime.proxy.reveal() == ENVIRON["PROXY"]


def test_no_dump_of_a_configuration_shows_a_secret(config: TapelineConfig) -> None:
    """Nor does one of a text option that was read through a reference."""
    dumps = [
        repr(config),
        str(config),
        f"{config}",
        repr(attrs.asdict(config)),
        str(attrs.astuple(config)),
        repr(copy.copy(config)),
        repr(copy.deepcopy(config)),
        repr(config.runtime),
    ]
    for dump in dumps:
        assert "c4n4ry" not in dump
        assert MASK in dump


def test_a_configuration_with_secrets_cannot_be_pickled(config: TapelineConfig) -> None:
    options: Any = config.collectors["c"].options
    for value in (config, options, options.secret, options.ws_url):
        with pytest.raises(TypeError, match="cannot be pickled") as caught:
            pickle.dumps(value)
        assert CANARY not in str(caught.value)
    with pytest.raises(TypeError):
        json.dumps(options.secret)


@pytest.mark.parametrize("spec", ["", "s", ">40", "^3", "r"])
def test_format_shows_only_the_mask(spec: str) -> None:
    secret = Secret(CANARY)
    try:
        shown = format(secret, spec)
    except ValueError as error:
        shown = str(error) + MASK
    assert MASK in shown
    assert CANARY not in f"{shown}{secret!s}{secret!r}{secret!a}{[secret]}"


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"
    assert not Secret("")


def test_errors_about_other_keys_do_not_show_secrets(problems_of: Problems) -> None:
    wrong = TEXT.replace("use =", "pool = 0\nuse =").replace("symbols", "symbls")
    assert "c4n4ry" not in str(problems_of(wrong, ENVIRON))


@pytest.mark.parametrize(
    "line",
    [
        "secret = 4444144",
        "secret = ['4444144']",
        "secret = {a = '4444144'}",
        "keys = [{api_key = 4444144}]",
        "keys = [{api_key = '4444144', lable = '1'}]",
    ],
)
def test_a_misspelt_secret_is_not_repeated(problems_of: Problems, line: str) -> None:
    text = TEXT.partition("[collectors.c.options]")[0] + "[collectors.c.options]\n"
    problems = problems_of(text + line, ENVIRON)
    assert len(problems) == 1
    assert "4444144" not in str(problems)


def test_a_wrong_proxy_is_not_repeated(problems_of: Problems) -> None:
    bad = {**ENVIRON, "PROXY": f"ftp://user:{CANARY}"}
    ((path, sentence),) = problems_of(TEXT, bad)
    assert path == "runtime.proxy"
    assert "c4n4ry" not in sentence


def test_a_syntax_error_does_not_repeat_its_line(problems_of: Problems) -> None:
    for line in (f'key = "{CANARY}', f"key = {CANARY}", f"{CANARY} = ", f"[{CANARY}"):
        assert "c4n4ry" not in str(problems_of(line))


@attrs.frozen
class Chatty:
    """Options whose validators give away what they refuse."""

    token: Secret = attrs.field()
    url: str = "x"

    @token.validator
    def _check(self, attribute: attrs.Attribute[Secret], value: Secret) -> None:
        raise ValueError(f"token {value.reveal()} is too short")


@attrs.frozen
class Exclusive:
    """Options that exclude each other."""

    token: Secret
    url: str = ""

    def __attrs_post_init__(self) -> None:
        raise ValueError(f"{self.token.reveal()} and {self.url} exclude each other")


@pytest.mark.parametrize("cls", [Chatty, Exclusive])
def test_what_a_plugin_says_of_its_options_is_masked(cls: type[Any]) -> None:
    """A short text too, which logs would not mask."""
    for text in (CANARY, "xyz"):
        options, problems = structure_options(
            cls, {"token": "env:T", "url": "env:T"}, "o", {"T": text}
        )
        assert options is None
        assert len(problems) == 1
        assert text not in problems[0][1]
        assert MASK in problems[0][1]


def test_the_traceback_of_a_configuration_error_shows_no_secret(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(TEXT + "pool = -1\n", ENVIRON)
    assert "c4n4ry" not in "".join(traceback.format_exception(caught.value))


def test_read_secrets_are_masked_in_logs(
    config: TapelineConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    options: Any = config.collectors["c"].options
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter())
    handler.addFilter(SecretFilter())
    logger = logging.Logger("canary")
    logger.addHandler(handler)
    logger.warning("dialing %s", options.secret.reveal())
    logger.warning("%s", config)
    try:
        raise OSError(f"cannot reach {options.ws_url}")
    except OSError:
        logger.exception("failed with %r", options.secret)
    shown = capsys.readouterr().err
    assert "c4n4ry" not in shown
    assert shown.count(MASK) > 3


def test_a_secret_is_masked_however_it_is_spelt() -> None:
    secret = 'a"b\\c ö/é'
    register_secret(Secret(secret))
    for spelling in (secret, json.dumps(secret), repr(secret), "a%22b%5Cc%20%C3%B6%2F"):
        assert MASK in mask(f"x {spelling}%C3%A9 y")
    register_secret("ab")
    assert mask("ab") == "ab"


def test_a_secret_in_a_file_loses_its_line_end(tmp_path: Path, load: Load) -> None:
    (tmp_path / "key").write_text(f" {CANARY} \r\n")
    text = TEXT.replace("env:CANARY", f"file:{tmp_path / 'key'}")
    options: Any = load(text, ENVIRON).collectors["c"].options
    assert options.secret.reveal() == f" {CANARY} "
