"""The OKX adapter: a factory of everything that OKX needs."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, cast

from tapeline.clock import Now
from tapeline.errors import ConfigError
from tapeline.hookspecs import (
    AdapterBase,
    ExchangeSession,
    Instruments,
    SimulatedExchange,
    SimulatedMarket,
)
from tapeline.model import (
    Backfill,
    Budget,
    Channel,
    DataType,
    Fetch,
    Gap,
    Instrument,
    Outcome,
    Request,
    Response,
    Route,
    Subscription,
)
from tapeline_okx import rest
from tapeline_okx.backfill import trade_backfill
from tapeline_okx.candles import candle_backfill
from tapeline_okx.channels import (
    CAPABILITIES,
    CHANNELS,
    EXCHANGE,
    PRIVATE,
    PUBLIC_LOGIN,
    SOCKET_CAPACITY,
    args_in_frame,
    subscription_from_arg,
)
from tapeline_okx.config import OkxConfig
from tapeline_okx.session import OkxSession
from tapeline_okx.signing import signed

CHECKSUM_LEVELS = 25

_NO_INSTRUMENTS: Instruments = MappingProxyType({})


class OkxAdapter(AdapterBase):
    """OKX: spot, perpetual, dated and option markets, and balances."""

    name = EXCHANGE
    config = OkxConfig
    capabilities = CAPABILITIES

    def channel(self, config: OkxConfig, data_type: str, timeframe: str) -> Channel:
        """The channel that *config* chooses for *data_type*.

        Raises:
            LookupError: OKX has none, e.g. for candles of 5 seconds.
        """
        chosen = {
            DataType.TRADE.value: config.trades,
            DataType.ORDERBOOK.value: config.depth,
        }.get(data_type)
        if chosen is not None:
            return CHANNELS[chosen].channel
        return super().channel(config, data_type, timeframe)

    def instruments(self, config: OkxConfig, market: str) -> Fetch:
        """The request that lists the instruments of *market*."""
        return rest.instruments(config, market)

    def read_instruments(self, response: Response) -> Sequence[Instrument]:
        """The instruments in the answer; rows not filled in yet are left out.

        Raises:
            DataValidationError: the answer has no rows at all.
        """
        return rest.read_instruments(response)

    def route(
        self,
        config: OkxConfig,
        instrument: Instrument | None,
        subscription: Subscription,
    ) -> Route:
        """Which of OKX's sockets carries *subscription*.

        Raises:
            ConfigError: the channel wants a login and no API key is configured.
        """
        row = CHANNELS[subscription.channel]
        private = row.route in (PRIVATE, PUBLIC_LOGIN)
        if private and not config.has_key:
            raise ConfigError(
                [
                    (
                        "options.api_key",
                        (
                            f"expected an API key, as channel {subscription.channel!r} "
                            "wants a login, found none; set api_key, api_secret and "
                            "passphrase"
                        ),
                    )
                ]
            )
        return Route(row.route, SOCKET_CAPACITY, row.cost, private)

    def session(
        self, config: OkxConfig, instruments: Instruments, route: Route
    ) -> ExchangeSession:
        """A new session for one socket of *route*."""
        return OkxSession(config, instruments, route)

    def backfill(self, config: OkxConfig, gap: Gap) -> Backfill | None:
        """Pages of ``history-trades`` or ``candles``; None for other data."""
        return trade_backfill(config, gap) or candle_backfill(config, gap)

    def probe(self, config: OkxConfig, subscription: Subscription) -> Fetch | None:
        """Ask for the newest trade, book or ticker; None for balances."""
        return rest.probe(config, subscription)

    def read_probe(self, response: Response) -> tuple[int | None, int | None]:
        """``(id, time in ns)`` of the newest in the answer to ``probe``.

        Raises:
            DataValidationError: the answer has no rows at all.
        """
        return rest.read_probe(response)

    def server_time(self, config: OkxConfig) -> Fetch:
        """Ask for OKX's clock."""
        return rest.server_time(config)

    def read_server_time(self, response: Response) -> int:
        """Nanoseconds UTC in the answer to ``server_time``.

        Raises:
            DataValidationError: the answer has no time.
        """
        return rest.read_server_time(response)

    def budgets(self, config: OkxConfig) -> Sequence[Budget]:
        """OKX's published limits."""
        return rest.BUDGETS

    def classify(self, response: Response) -> Outcome:
        """What a REST answer means, by status and code; never raises."""
        return rest.classify(response)

    def sign(self, config: OkxConfig, request: Request, now: Now) -> Request:
        """*request* with OKX's signature for this moment."""
        return signed(config, request, now.venue_ns)

    def book_checksum(
        self, bids: Sequence[Sequence[str]], asks: Sequence[Sequence[str]]
    ) -> int:
        """Signed CRC-32 of the best 25 levels a side, best first, as OKX wrote them.

        https://my.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel
        """
        pairs = zip_longest(bids[:CHECKSUM_LEVELS], asks[:CHECKSUM_LEVELS])
        text = ":".join(
            f"{level[0]}:{level[1]}" for pair in pairs for level in pair if level
        )
        value = zlib.crc32(text.encode())
        return value - 2**32 if value >= 2**31 else value

    def collector_class(self) -> type[Any]:
        """``OKXCollector``."""
        # not needed by the service, so not loaded with the plugin
        from tapeline_okx.collector import OKXCollector

        return OKXCollector

    def simulator(
        self,
        market: SimulatedMarket,
        *,
        faults: Sequence[Any] = (),
        ledger: Any = None,
    ) -> SimulatedExchange:
        """A simulator of OKX's sockets and REST over *market*.

        Args:
            faults: script of ``tapeline.testing.Fault``s.
            ledger: a ``tapeline.testing.Ledger`` that gets every fill.
        """
        # not needed by collectors, so not loaded with them
        from tapeline_okx.simulator import OkxSimulator

        return OkxSimulator(cast(Any, market), faults=faults, ledger=ledger)

    def recorded_subscriptions(
        self,
        config: OkxConfig,
        frame: str,
        url: str = "",
        listed: Mapping[tuple[str, str], Instrument] = MappingProxyType({}),
    ) -> Sequence[Subscription]:
        """What *frame* of a recording shows to be subscribed; never raises.

        Args:
            frame: a request of the client, an acknowledgment or a data frame.
            url, listed: not needed, as OKX's arguments say it all.
        """
        found = (
            subscription_from_arg(arg, _NO_INSTRUMENTS) for arg in args_in_frame(frame)
        )
        return [subscription for subscription in found if subscription is not None]
