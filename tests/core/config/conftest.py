"""A small exchange and two sinks, given to the real registry as plugins."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from tapeline.config import TapelineConfig, parse_config
from tapeline.config.problems import Problem
from tapeline.errors import ConfigError
from tapeline.hookspecs import (
    AdapterBase,
    DatabaseReader,
    ExchangeAdapter,
    ExchangeSession,
    Instruments,
    PluginInfo,
    Sink,
    SinkAdapter,
    SinkContext,
    hookimpl,
)
from tapeline.model import (
    Capabilities,
    Channel,
    Continuity,
    Fetch,
    Instrument,
    Outcome,
    Response,
    Route,
    Secret,
    Subscription,
)
from tapeline.plugins.registry import PluginRegistry


class Region(enum.Enum):
    """Where the exchange of these tests lives."""

    WORLD = "world"
    EUROPE = "europe"


@attrs.frozen
class Key:
    """A nested table of options."""

    api_key: Secret
    label: str = ""


@attrs.frozen
class AcmeConfig:
    """One field of every type that options may have."""

    ws_url: str = "wss://acme.example"
    depth: int = attrs.field(default=5, validator=attrs.validators.in_((1, 5, 50)))
    ratio: float = attrs.field(default=0.5, validator=attrs.validators.ge(0))
    fee: Decimal = Decimal("0.1")
    testnet: bool = False
    region: Region = Region.WORLD
    mode: Literal["fast", "safe"] = "safe"
    cache: Path | None = None
    secret: Secret | None = None
    hosts: tuple[str, ...] = ()
    weights: list[int] = attrs.field(factory=list)
    labels: Mapping[str, str] = attrs.field(factory=dict)
    keys: tuple[Key, ...] = ()


@attrs.frozen
class DatabaseConfig:
    """Options of the default sink."""

    path: Path


@attrs.frozen
class BoxConfig:
    """Options of a sink with a password."""

    dsn: Secret
    pool: int = attrs.field(default=4, validator=attrs.validators.ge(1))


def _channel(name: str, data_type: str, timeframe: str = "") -> Channel:
    return Channel(name, data_type, Continuity.NONE, timeframe=timeframe)


class _Acme(AdapterBase):
    config = AcmeConfig

    def __init__(self, name: str, capabilities: Capabilities) -> None:
        self.name = name
        self.capabilities = capabilities

    def instruments(self, config: AcmeConfig, market: str) -> Fetch:
        raise NotImplementedError

    def read_instruments(self, response: Response) -> Sequence[Instrument]:
        raise NotImplementedError

    def route(
        self,
        config: AcmeConfig,
        instrument: Instrument | None,
        subscription: Subscription,
    ) -> Route:
        raise NotImplementedError

    def session(
        self, config: AcmeConfig, instruments: Instruments, route: Route
    ) -> ExchangeSession:
        raise NotImplementedError

    def classify(self, response: Response) -> Outcome:
        raise NotImplementedError


class _SinkAdapter:
    promise = "durable"

    def __init__(
        self,
        name: str,
        config: type[Any],
        accepts: Sequence[str] | None = None,
        default: bool = False,
    ) -> None:
        self.name = name
        self.config = config
        self.accepts = accepts
        self.default = default

    def sink(self, config: Any, context: SinkContext) -> Sink:
        raise NotImplementedError

    def open_reader(self, url: str) -> DatabaseReader | None:
        return None


class _AcmePlugin:
    @hookimpl
    def tapeline_plugin_info(self) -> PluginInfo:
        return PluginInfo("acme", (1, 0), "an exchange for tests")

    @hookimpl
    def tapeline_exchanges(self) -> Sequence[ExchangeAdapter]:
        everything = Capabilities(
            ("spot", "swap", "future"),
            {
                "trade": (_channel("trades", "trade"),),
                "orderbook": (_channel("book", "orderbook"),),
                "ticker": (_channel("tickers", "ticker"),),
                "balance": (_channel("account", "balance"),),
                "acme.funding": (_channel("funding", "acme.funding"),),
                "candle": (_channel("candle1m", "candle", "1m"),),
            },
        )
        tickers = Capabilities(("spot",), {"ticker": (_channel("t", "ticker"),)})
        return (_Acme("acme", everything), _Acme("acme.quotes", tickers))


class _StorePlugin:
    def __init__(self, defaults: int) -> None:
        self._defaults = defaults

    @hookimpl
    def tapeline_plugin_info(self) -> PluginInfo:
        return PluginInfo("store", (1, 0), "sinks for tests")

    @hookimpl
    def tapeline_sinks(self) -> Sequence[SinkAdapter]:
        return (
            _SinkAdapter("store", DatabaseConfig, default=self._defaults > 0),
            _SinkAdapter("store.box", BoxConfig, ("trade", "candle")),
            _SinkAdapter("store.other", BoxConfig, default=self._defaults > 1),
        )


class _BrokenPlugin:
    @hookimpl
    def tapeline_plugin_info(self) -> PluginInfo:
        raise RuntimeError("no licence")


def _registry(defaults: int) -> PluginRegistry:
    return PluginRegistry(
        # An allow list without installed plugins: only the given ones count.
        {"TAPELINE_PLUGINS": "acme"},
        {
            "acme": _AcmePlugin(),
            "store": _StorePlugin(defaults),
            "broken": _BrokenPlugin(),
        },
    )


@pytest.fixture(scope="session")
def plugins() -> PluginRegistry:
    """Exchanges acme and acme.quotes; sinks store (the default) and store.box."""
    return _registry(1)


@pytest.fixture(scope="session")
def plugins_without_default() -> PluginRegistry:
    """The same without a default sink."""
    return _registry(0)


@pytest.fixture(scope="session")
def plugins_with_two_defaults() -> PluginRegistry:
    """The same with two sinks that want to be the default."""
    return _registry(2)


@pytest.fixture(scope="session")
def acme_config() -> type[AcmeConfig]:
    """The options class of acme."""
    return AcmeConfig


Load = Callable[..., TapelineConfig]
Problems = Callable[..., list[Problem]]


@pytest.fixture
def load(plugins: PluginRegistry) -> Load:
    """Parse a text that is expected to be right."""

    def run(text: str, environ: Mapping[str, str] | None = None) -> TapelineConfig:
        return parse_config(text, plugins, environ or {}, "test.toml")

    return run


@pytest.fixture
def problems_of(plugins: PluginRegistry) -> Problems:
    """Parse a text that is expected to be wrong, and give its problems."""

    def run(text: str, environ: Mapping[str, str] | None = None) -> list[Problem]:
        with pytest.raises(ConfigError) as caught:
            parse_config(text, plugins, environ or {}, "test.toml")
        return list(caught.value.problems)

    return run
