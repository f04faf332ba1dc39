"""One collector's side of an exchange: its instruments, streams and link."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import attrs

from tapeline.errors import TapelineError, TransportError, UnknownSymbol
from tapeline.model import (
    ALL_SYMBOLS,
    Channel,
    DataType,
    Instrument,
    Subscription,
)
from tapeline.runtime.settings import FeedSettings
from tapeline.seams import Seams
from tapeline.transport import Backoff, ExchangeLink, RequestRefused

GONE = "gone"
"""State of an instrument that the venue lists no more."""

Register = Callable[[Subscription, Channel], object]

_INSTRUMENTS_DEADLINE_S = 10.0

logger = logging.getLogger("tapeline.feed")


def wanted_streams(
    settings: FeedSettings, symbols: Iterable[str]
) -> dict[Subscription, Channel]:
    """The subscriptions that *settings* need for *symbols*, with their channels.

    Candles are built from trades, so they need the trade stream.

    Raises:
        TapelineError: the exchange offers no channel for a data type.
    """
    types = dict.fromkeys(settings.data_types)
    if settings.timeframes or DataType.CANDLE.value in types:
        types.pop(DataType.CANDLE.value, None)
        types[DataType.TRADE.value] = None
    wanted: dict[Subscription, Channel] = {}
    names = list(dict.fromkeys(symbols))
    for data_type in types:
        targets = [ALL_SYMBOLS] if data_type == DataType.BALANCE else names
        for symbol in targets:
            subscription, channel = _stream(settings, symbol, data_type, "")
            wanted[subscription] = channel
    for timeframe in settings.venue_timeframes:
        for symbol in names:
            subscription, channel = _stream(
                settings, symbol, DataType.CANDLE.value, timeframe
            )
            wanted[subscription] = channel
    return wanted


def _stream(
    settings: FeedSettings, symbol: str, data_type: str, timeframe: str
) -> tuple[Subscription, Channel]:
    adapter = settings.adapter
    try:
        channel = adapter.channel(settings.config, data_type, timeframe)
    except LookupError as error:
        offered = ", ".join(adapter.capabilities.data_types)
        wanted = f"{data_type} {timeframe}".strip()
        raise TapelineError(
            f"expected a data type that {adapter.name} offers ({offered}), "
            f"found {wanted!r}"
        ) from error
    subscription = Subscription(
        adapter.name,
        settings.market,
        symbol,
        data_type,
        channel.name,
        channel.id_kind,
        channel.timeframe,
    )
    return subscription, channel


class Feed:
    """What one collector wants from one exchange, and the link that gets it."""

    def __init__(
        self,
        settings: FeedSettings,
        link: ExchangeLink,
        instruments: dict[tuple[str, str], Instrument],
        register: Register,
        seams: Seams,
    ) -> None:
        self.settings = settings
        self.link = link
        self.symbols = list(dict.fromkeys(settings.symbols))
        self.unknown_symbols: dict[str, str] = {}
        self.wanted: dict[Subscription, Channel] = {}
        self.instruments_loaded = False
        self.removed = False
        self.failures = 0
        self.last_error = ""
        self._instruments = instruments
        self._register = register
        self._clock = seams.clock
        self._random = seams.random

    def add_symbol(self, symbol: str) -> None:
        """Want *symbol* too; takes effect at once when running."""
        if symbol not in self.symbols:
            self.symbols.append(symbol)
            self._want()

    def remove_symbol(self, symbol: str) -> None:
        """Do not want *symbol* any more; neighbors stay untouched."""
        if symbol in self.symbols:
            self.symbols.remove(symbol)
            self.unknown_symbols.pop(symbol, None)
            self._want()

    async def run(self) -> None:
        """Load instruments, want the streams, keep the link alive; until cancelled."""
        if self.removed:
            return
        if not self.instruments_loaded:
            await self._load_instruments()
        self._want()
        await self.link.run()

    def owns(self, stream: Subscription) -> bool:
        """Whether *stream* is one of this collector's."""
        return stream in self.wanted

    async def _load_instruments(self) -> None:
        """Ask until the venue answers: transport is tried for ever.

        Raises:
            RequestRefused: the venue will not answer us at all.
        """
        backoff = Backoff(self._random)
        while True:
            try:
                found = await self.link.load_instruments(
                    self.settings.market, _INSTRUMENTS_DEADLINE_S
                )
            except RequestRefused:
                raise
            except TransportError as error:
                self.failures += 1
                self.last_error = str(error)
                if self.failures & (self.failures - 1) == 0:
                    logger.warning(
                        "collector %s: no instruments yet, %d tries: %s",
                        self.settings.name,
                        self.failures,
                        error,
                    )
                await self._clock.sleep(backoff.next_delay_s())
                continue
            self.failures = 0
            for instrument in found:
                self._instruments[instrument.key] = instrument
            self.instruments_loaded = True
            return

    def instrument(self, subscription: Subscription) -> Instrument | None:
        """What the venue last said of a stream's instrument; None if unknown."""
        return self._instruments.get((subscription.market, subscription.symbol))

    async def refresh_instruments(self) -> bool:
        """Ask for the instruments again: states change, symbols come and go.

        Returns:
            whether anything has changed.

        Raises:
            RequestFailed: no usable answer; nothing has changed.
        """
        market = self.settings.market
        found = {one.key: one for one in await self.link.load_instruments(market)}
        if not found:
            return False
        for key, known in self._instruments.items():
            if key[0] == market and key not in found:
                found[key] = attrs.evolve(known, state=GONE)
        changed = any(self._instruments.get(key) != one for key, one in found.items())
        self._instruments.update(found)
        if any((market, symbol) in found for symbol in self.unknown_symbols):
            self._want()
        return changed

    def _want(self) -> None:
        if not self.instruments_loaded or self.removed:
            return
        self.unknown_symbols.clear()
        known: list[str] = []
        listed = [
            symbol
            for market, symbol in self._instruments
            if market == self.settings.market
        ]
        for symbol in self.symbols:
            if (self.settings.market, symbol) in self._instruments:
                known.append(symbol)
                continue
            error = UnknownSymbol(
                self.settings.adapter.name, self.settings.market, symbol, listed
            )
            self.unknown_symbols[symbol] = str(error)
            logger.error("collector %s: %s", self.settings.name, error)
        self.wanted = wanted_streams(self.settings, known)
        for subscription, channel in self.wanted.items():
            self._register(subscription, channel)
        self.link.want(list(self.wanted))
