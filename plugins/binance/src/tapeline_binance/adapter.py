"""The Binance adapter: a factory of everything that Binance needs."""

from __future__ import annotations

from collections.abc import Sequence
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
    Recovery,
    Request,
    Response,
    Route,
    Subscription,
)
from tapeline_binance import instruments as listing
from tapeline_binance import rest
from tapeline_binance.account import AccountSession
from tapeline_binance.backfill import trade_backfill
from tapeline_binance.candles import candle_backfill
from tapeline_binance.channels import (
    ACCOUNT,
    CAPABILITIES,
    CHANNELS,
    EXCHANGE,
    SOCKET_CAPACITY,
    family_of,
)
from tapeline_binance.config import COINM, SPOT, BinanceConfig
from tapeline_binance.recordings import NOT_LISTED, Listed, recorded_streams
from tapeline_binance.session import COINM_ROUTE, BinanceSession
from tapeline_binance.signing import signed


class BinanceAdapter(AdapterBase):
    """Binance: spot and USDⓈ-M futures markets, and spot balances.

    Recordings of COIN-M futures can be replayed, too.
    """

    name = EXCHANGE
    config = BinanceConfig
    capabilities = CAPABILITIES

    def channel(self, config: BinanceConfig, data_type: str, timeframe: str) -> Channel:
        """The channel that *config* chooses for *data_type*.

        Raises:
            LookupError: Binance has none, e.g. for candles of 5 seconds.
        """
        chosen = {
            DataType.TRADE.value: config.trades,
            DataType.ORDERBOOK.value: config.depth,
            DataType.TICKER.value: config.ticker,
        }.get(data_type)
        if chosen is not None:
            return CHANNELS[chosen].channel
        return super().channel(config, data_type, timeframe)

    def instruments(self, config: BinanceConfig, market: str) -> Fetch:
        """The request that lists the instruments of *market*.

        Raises:
            ConfigError: the region does not have that market.
        """
        return listing.instruments(config, market)

    def read_instruments(self, response: Response) -> Sequence[Instrument]:
        """The instruments in the answer; rows that are not filled in are left out.

        Raises:
            DataValidationError: the answer has no instruments at all.
        """
        return listing.read_instruments(response)

    def route(
        self,
        config: BinanceConfig,
        instrument: Instrument | None,
        subscription: Subscription,
    ) -> Route:
        """Which of Binance's sockets carries *subscription*.

        Raises:
            ConfigError: the market does not have the channel, the region does not
                have the market, or balances are wanted without an API key.
        """
        row = CHANNELS[subscription.channel]
        if row.route == ACCOUNT:
            return _account_route(config)
        family = family_of(subscription.market, subscription.symbol)
        if not (row.spot if family == SPOT else row.futures):
            raise ConfigError(
                [
                    (
                        "options",
                        (
                            "expected a channel that market "
                            f"{subscription.market!r} has, found "
                            f"{subscription.channel!r}; choose another one"
                        ),
                    )
                ]
            )
        config.ws_base(family)
        if family == SPOT:
            return Route(SPOT, SOCKET_CAPACITY, row.cost)
        name = COINM_ROUTE if family == COINM else row.route
        return Route(name, SOCKET_CAPACITY, row.cost)

    def session(
        self, config: BinanceConfig, instruments: Instruments, route: Route
    ) -> ExchangeSession:
        """A new session for one socket of *route*."""
        if route.name == ACCOUNT:
            return AccountSession(config, instruments, route)
        return BinanceSession(config, instruments, route)

    def backfill(self, config: BinanceConfig, gap: Gap) -> Backfill | None:
        """Pages of ``aggTrades``, ``historicalTrades`` or ``klines``; else None."""
        return trade_backfill(config, gap) or candle_backfill(config, gap)

    def probe(self, config: BinanceConfig, subscription: Subscription) -> Fetch | None:
        """Ask for the newest trade, book or ticker; None for balances."""
        return rest.probe(config, subscription)

    def read_probe(self, response: Response) -> tuple[int | None, int | None]:
        """``(id, time in ns)`` of the newest in the answer to ``probe``.

        Raises:
            DataValidationError: the answer is of no use at all.
        """
        return rest.read_probe(response)

    def server_time(self, config: BinanceConfig) -> Fetch:
        """Ask for Binance's clock."""
        return rest.server_time(config)

    def read_server_time(self, response: Response) -> int:
        """Nanoseconds UTC in the answer to ``server_time``.

        Raises:
            DataValidationError: the answer has no time.
        """
        return rest.read_server_time(response)

    def budgets(self, config: BinanceConfig) -> Sequence[Budget]:
        """Binance's published limits."""
        return rest.budgets(config)

    def classify(self, response: Response) -> Outcome:
        """What a REST answer means, by status and code; never raises."""
        return rest.classify(response)

    def sign(self, config: BinanceConfig, request: Request, now: Now) -> Request:
        """*request* with the API key, signed for this moment where that is wanted."""
        return signed(config, request, now.venue_ns)

    def refused(self, status: int, body: str) -> Recovery:
        """418 is a ban of our address, and 403 the firewall's word."""
        return Recovery.BLOCKED if status == 418 else super().refused(status, body)

    def collector_class(self) -> type[Any]:
        """``BinanceCollector``."""
        # not needed by the service, so not loaded with the plugin
        from tapeline_binance.collector import BinanceCollector

        return BinanceCollector

    def simulator(
        self,
        market: SimulatedMarket,
        *,
        faults: Sequence[Any] = (),
        ledger: Any = None,
    ) -> SimulatedExchange:
        """A simulator of Binance's sockets and REST over *market*.

        Args:
            faults: script of ``tapeline.testing.Fault``s.
            ledger: a ``tapeline.testing.Ledger`` that gets every fill.
        """
        # not needed by collectors, so not loaded with them
        from tapeline_binance.simulator import BinanceSimulator

        return BinanceSimulator(cast(Any, market), faults=faults, ledger=ledger)

    def recorded_subscriptions(
        self,
        config: BinanceConfig,
        frame: str,
        url: str = "",
        listed: Listed = NOT_LISTED,
    ) -> Sequence[Subscription]:
        """What *frame* of a recording shows to be subscribed; never raises.

        Args:
            frame: a request of the client, a data frame, the address of a connection
                or that of a REST answer with trades.
            url: of the connection, as far as the recording tells.
            listed: instruments by market and venue symbol; without them the place
                where a symbol splits is guessed.
        """
        return recorded_streams(config, frame, url, listed)


def _account_route(config: BinanceConfig) -> Route:
    if not config.has_key:
        raise ConfigError(
            [
                (
                    "options.api_key",
                    (
                        "expected an API key, as balances want one, found none; set "
                        "api_key and api_secret"
                    ),
                )
            ]
        )
    config.ws_api_url()
    return Route(ACCOUNT, capacity=1, private=True)
