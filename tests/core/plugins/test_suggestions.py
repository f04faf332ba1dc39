"""What core suggests comes from its metadata and from what is installed."""

from __future__ import annotations

import importlib.metadata
from email.message import Message

import pytest

from tapeline.config import template
from tapeline.plugins import PluginState
from tapeline.plugins.records import PluginRecord
from tapeline.plugins.suggestions import begin_with, extra_for

METADATA = """\
Name: tapeline
Requires-Dist: attrs>=24.2
Provides-Extra: start
Requires-Dist: Zebra_Feeds<0.2,>=0.1; extra == 'start'
Provides-Extra: acme
Requires-Dist: acme-feeds; extra == 'acme'
Provides-Extra: acmedb
"""


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata above in place of that of the installed core."""
    lines = [line.partition(": ") for line in METADATA.splitlines()]
    message = Message()
    for name, _, value in lines:
        message[name] = value
    requires = [value for name, _, value in lines if name == "Requires-Dist"]
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: message)
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: requires)


@pytest.fixture
def no_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source tree that is not installed."""

    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "metadata", absent)
    monkeypatch.setattr(importlib.metadata, "requires", absent)


def record(name: str, distribution: str | None) -> PluginRecord:
    """An active plugin of *distribution*."""
    return PluginRecord(name, distribution, "1", "", "", PluginState.ACTIVE)


@pytest.mark.usefixtures("metadata")
def test_the_longest_extra_that_begins_an_address_is_the_one_for_it() -> None:
    assert extra_for("acme") == "acme"
    assert extra_for("acme+driver") == "acme"
    assert extra_for("acmedb2") == "acmedb"
    assert extra_for("other") is None


@pytest.mark.usefixtures("metadata")
def test_what_a_first_collection_needs_comes_first_and_the_rest_keeps_its_order() -> (
    None
):
    records = [record("a", "acme-feeds"), record("b", None), record("z", "zebra-feeds")]
    assert [each.name for each in begin_with(records)] == ["z", "a", "b"]


@pytest.mark.usefixtures("no_metadata")
def test_without_metadata_nothing_is_suggested() -> None:
    records = [record("b", None), record("a", "acme-feeds")]
    assert extra_for("acme") is None
    assert begin_with(records) == records


def test_the_template_names_what_it_was_given_and_placeholders_for_the_rest() -> None:
    both = template(["acme.eu", "other"], "store")
    assert "[collectors.acme-eu-majors]" in both
    assert 'exchange = "acme.eu"' in both
    assert '# exchanges = ["acme.eu", "other"]' in both
    assert '# use = "store"' in both
    none = template()
    assert 'exchange = "AN-EXCHANGE"' in none
    assert '# exchanges = ["AN-EXCHANGE", "ANOTHER-EXCHANGE"]' in none
    assert "[sinks.local]" not in none
