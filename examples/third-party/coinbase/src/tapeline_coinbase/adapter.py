"""How core makes sessions, requests and simulators of Coinbase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

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
    Response,
    Route,
    Subscription,
)
from tapeline.testing import Market
from tapeline_coinbase import rest
from tapeline_coinbase.backfill import trade_backfill
from tapeline_coinbase.channels import (
    CAPABILITIES,
    EXCHANGE,
    LEVEL2,
    TICKER,
    TRADES,
    subscription_of,
    trade_channel,
)
from tapeline_coinbase.config import CoinbaseConfig
from tapeline_coinbase.session import CoinbaseSession
from tapeline_coinbase.simulator import CoinbaseSimulator
from tapeline_coinbase.wire import UNDECODABLE


class _Request(msgspec.Struct):
    type: str
    channel: str
    product_ids: list[str] = []


_decode_request = msgspec.json.Decoder(_Request).decode


class CoinbaseAdapter(AdapterBase):
    """Coinbase Advanced Trade; see ``hookspecs.ExchangeAdapter``."""

    name = EXCHANGE
    config = CoinbaseConfig
    capabilities = CAPABILITIES

    def channel(
        self, config: CoinbaseConfig, data_type: str, timeframe: str
    ) -> Channel:
        """The channel of *data_type*; that of trades is a matter of the options."""
        if data_type == DataType.TRADE.value and not timeframe:
            return trade_channel(config.trade_ids)
        return super().channel(config, data_type, timeframe)

    def instruments(self, config: CoinbaseConfig, market: str) -> Fetch:
        """Ask for the products."""
        return rest.instruments(config, market)

    def read_instruments(self, response: Response) -> Sequence[Instrument]:
        """The spot products."""
        return rest.read_instruments(response)

    def route(
        self,
        config: CoinbaseConfig,
        instrument: Instrument | None,
        subscription: Subscription,
    ) -> Route:
        """One kind of socket; Coinbase documents no limit of streams on one."""
        return Route("public", config.streams_per_socket)

    def session(
        self, config: CoinbaseConfig, instruments: Instruments, route: Route
    ) -> ExchangeSession:
        """A new session."""
        return CoinbaseSession(config, instruments, route)

    def backfill(self, config: CoinbaseConfig, gap: Gap) -> Backfill | None:
        """Pages of trades, for streams whose ids are counted."""
        return trade_backfill(config, gap)

    def probe(self, config: CoinbaseConfig, subscription: Subscription) -> Fetch | None:
        """Ask for the newest trade."""
        return rest.probe(config, subscription)

    def read_probe(self, response: Response) -> tuple[int | None, int | None]:
        """Its id and time."""
        return rest.read_probe(response)

    def server_time(self, config: CoinbaseConfig) -> Fetch | None:
        """Ask for the time."""
        return rest.server_time(config)

    def read_server_time(self, response: Response) -> int:
        """Nanoseconds UTC."""
        return rest.read_server_time(response)

    def budgets(self, config: CoinbaseConfig) -> Sequence[Budget]:
        """Limits of one address without a key."""
        return rest.BUDGETS

    def classify(self, response: Response) -> Outcome:
        """By status."""
        return rest.classify(response)

    def recorded_subscriptions(
        self, config: CoinbaseConfig, frame: str
    ) -> Sequence[Subscription]:
        """The streams that a sent subscribe message asks for."""
        try:
            request = _decode_request(frame)
        except UNDECODABLE:
            return ()
        types = {TRADES: "trade", LEVEL2: "orderbook", TICKER: "ticker"}
        data_type = types.get(request.channel)
        if request.type != "subscribe" or data_type is None:
            return ()
        channel = self.channel(config, data_type, "")
        return [subscription_of(channel, name) for name in request.product_ids]

    def simulator(
        self,
        market: SimulatedMarket,
        *,
        faults: Sequence[Any] = (),
        ledger: Any = None,
    ) -> SimulatedExchange | None:
        """Coinbase in this process, over a ``tapeline.testing.Market``."""
        if not isinstance(market, Market):
            return None
        return CoinbaseSimulator(market, faults=faults, ledger=ledger)
