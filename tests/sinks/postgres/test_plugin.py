"""What core sees of the plugin, and of its options."""

from __future__ import annotations

import runpy
from importlib.metadata import entry_points
from pathlib import Path

import attrs
import pytest

from tapeline.config import structure_options
from tapeline.hookspecs import ENTRY_POINT_GROUP, SinkAdapter, SinkContext
from tapeline.model import Secret
from tapeline.model.secrets import mask
from tapeline.plugins import PluginRegistry
from tapeline_postgres import PostgresAdapter, PostgresConfig, PostgresSink, plugin

ROOT = Path(__file__).parents[3]


def test_the_entry_point_leads_to_the_plugin() -> None:
    """Its name is the plugin's name, and core finds it in good order."""
    [point] = entry_points(group=ENTRY_POINT_GROUP, name="postgres")
    assert point.load() is plugin
    assert PluginRegistry({}).sink("postgres").name == "postgres"


def test_the_adapter_is_durable_and_never_the_default(context: SinkContext) -> None:
    """Making a sink connects to nothing."""
    adapter: SinkAdapter = PostgresAdapter()
    assert (adapter.promise, adapter.default, adapter.accepts) == (
        "durable",
        False,
        None,
    )
    config = PostgresConfig(dsn=Secret("postgresql://127.0.0.1:1/x"))
    assert isinstance(adapter.sink(config, context), PostgresSink)


def test_every_option_is_described_and_documented() -> None:
    """A failure here is repaired by ``python docs/generate.py``."""
    for field in attrs.fields(PostgresConfig):
        assert field.metadata["description"].endswith(".")
    text = (ROOT / "docs" / "sinks" / "postgres.md").read_text(encoding="utf-8")
    assert "<!-- generated: options tapeline_postgres:PostgresConfig -->" in text
    assert runpy.run_path(str(ROOT / "docs" / "generate.py"))["rewritten"](text) == text


def test_the_password_is_masked_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the spelling that the address needs, and in an option of it."""
    monkeypatch.setenv("DSN", "postgresql://me:open%20sesame@db/x?password=abracadabra")
    given = {"dsn": "env:DSN"}
    options, problems = structure_options(PostgresConfig, given, "sinks.pg", {})
    assert problems
    environ = {"DSN": "postgresql://me:open%20sesame@db/x?password=abracadabra"}
    options, problems = structure_options(PostgresConfig, given, "sinks.pg", environ)
    assert problems == []
    for text in ("open%20sesame", "open sesame", "abracadabra"):
        assert text not in repr(options)
        assert text not in mask(f"could not log in with {text}!")


@pytest.mark.parametrize(
    "place", ["nohost:notaport", "h:5432,g:x", "h:70000", "[::1]:y", "pa/ss@h"]
)
def test_a_port_that_is_none_is_refused_before_anything_starts(place: str) -> None:
    with pytest.raises(ValueError, match="expected a port") as told:
        PostgresConfig(dsn=Secret(f"postgresql://me:{place}/db"))
    assert "pa" not in str(told.value).replace("password", "")


@pytest.mark.parametrize(
    "place", ["h:5432", "h:1,g:2", "[::1]:5432", "[::1]", "", "%2Ftmp%2Fpg"]
)
def test_other_spellings_of_a_place_are_taken(place: str) -> None:
    url = f"postgresql://me:s@{place}/db"
    assert PostgresConfig(dsn=Secret(url)).dsn.reveal() == url


@pytest.mark.parametrize("dsn", ["mysql://root:sesame@h/x", "host=h password=sesame"])
def test_an_address_that_is_none_is_told_without_it(dsn: str) -> None:
    """The sentence says what one looks like."""
    options, problems = structure_options(PostgresConfig, {"dsn": dsn}, "sinks.pg", {})
    assert options is None
    [(path, sentence)] = problems
    assert path == "sinks.pg.dsn"
    assert "expected an address postgresql://" in sentence
    assert "sesame" not in sentence


@pytest.mark.parametrize("name", ["connect_timeout_s", "statement_timeout_s"])
def test_deadlines_are_above_zero(name: str) -> None:
    """No deadline at all is no choice."""
    given = {"dsn": "postgresql://h/x", name: 0}
    _, problems = structure_options(PostgresConfig, given, "sinks.pg", {})
    assert [path for path, _ in problems] == [f"sinks.pg.{name}"]


def test_the_adapter_stores_at_its_addresses_and_at_no_other() -> None:
    adapter = PostgresAdapter()
    url = "postgresql://me:open-sesame@host/market"
    options, problems = structure_options(
        PostgresConfig, adapter.options_for(url) or {}, "", {}
    )
    assert problems == []
    assert options == PostgresConfig(dsn=Secret(url))
    assert adapter.options_for("market.db") is None
    assert adapter.options_for("redis://host") is None
