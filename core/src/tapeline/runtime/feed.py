"""One collector's side of an exchange: its instruments, streams and link."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from tapeline.backoff import Backoff
from tapeline.errors import TapelineError, TransportError, UnknownSymbol
from tapeline.model import (
    ALL_SYMBOLS,
    Channel,
    DataType,
    Instrument,
    StatusChange,
    Subscription,
)
from tapeline.runtime.settings import FeedSettings
from tapeline.seams import Seams
from tapeline.transport import DISCONNECT, ExchangeLink, RequestRefused

GONE = "gone"
"""State of an instrument that the venue lists no more."""

DELISTED = "delisted"
"""Cause of the gap while a venue did not list an instrument."""

Register = Callable[[Subscription, Channel], object]

_INSTRUMENTS_DEADLINE_S = 10.0


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
        whole = [settings.account or ALL_SYMBOLS]
        targets = whole if data_type == DataType.BALANCE else names
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
        self._logger = settings.logger("feed")
        self.link = link
        self.symbols = list(dict.fromkeys(settings.symbols))
        self.unknown_symbols: dict[str, str] = {}
        self.wanted: dict[Subscription, Channel] = {}
        self.halted: dict[Subscription, Channel] = {}
        self.delisted: dict[str, str] = {}
        self.on_change: Callable[[StatusChange], None] = lambda _: None
        self._spellings: dict[str, str] = {}
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
            self.delisted.pop(symbol, None)
            self._want()

    async def run(self) -> None:
        """Load instruments, want the streams, keep the link alive; until cancelled."""
        if self.removed:
            return
        if not self.instruments_loaded:
            await self._load_instruments()
        self._want()
        await self.link.run()

    def leave(self) -> None:
        """Want nothing any more: the collector is removed."""
        self.link.want(())
        self.link.give_up(self.halted)

    def owns(self, stream: Subscription) -> bool:
        """Whether *stream* is one of this collector's, halted or not."""
        return stream in self.wanted or stream in self.halted

    def cause_of_drop(self, stream: Subscription) -> str:
        """Why an own *stream* is not carried, as in table ``gaps``."""
        return DELISTED if stream in self.halted else DISCONNECT

    def claims(self, stream: Subscription) -> bool:
        """Whether *stream* may be wanted: its instrument is not known yet, or gone."""
        settings = self.settings
        if (stream.exchange, stream.market) != (settings.adapter.name, settings.market):
            return False
        if not self.instruments_loaded:
            return stream.symbol in self.symbols
        return stream.symbol in self.unknown_symbols or stream.symbol in self.delisted

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
                    self._logger.warning(
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
        news = [key[1] for key in found if key not in self._instruments]
        self._instruments.update(found)
        self._follow(news)
        return changed

    def _follow(self, news: Sequence[str]) -> None:
        """Let the streams follow what has become of their instruments.

        Args:
            news: symbols that the venue had not listed before.
        """
        before = dict(self._spellings)
        came = any(map(self._spelling, (*self.unknown_symbols, *self.delisted)))
        if came or not all(map(self._spelling, before)):
            self._want(news)
        for symbol, spelling in before.items():
            now = self._spelling(symbol)
            if now and now != spelling:
                self._spellings[symbol] = now
                reason = f"{symbol} is spelled {now} now, no longer {spelling}"
                self._logger.warning("collector %s: %s", self.settings.name, reason)
                # A new session asks for all of its streams as they are spelled now.
                streams = [one for one in self.wanted if one.symbol == symbol]
                self.link.replace_sockets(streams, reason)

    def _spelling(self, symbol: str) -> str:
        """How the venue spells *symbol*; empty when it does not list it."""
        known = self._instruments.get((self.settings.market, symbol))
        if known is None or known.state == GONE:
            return ""
        return known.venue_symbol or symbol

    def _want(self, news: Sequence[str] = ()) -> None:
        if not self.instruments_loaded or self.removed:
            return
        market = self.settings.market
        was_gone, self.delisted = self.delisted, {}
        self.unknown_symbols.clear()
        self._spellings.clear()
        listed = [symbol for place, symbol in self._instruments if place == market]
        for symbol in self.symbols:
            spelling = self._spelling(symbol)
            if spelling:
                self._spellings[symbol] = spelling
            elif (market, symbol) in self._instruments:
                self.delisted[symbol] = was_gone.get(symbol) or self._gone(symbol, news)
            else:
                exchange = self.settings.adapter.name
                error = UnknownSymbol(exchange, market, symbol, listed)
                self.unknown_symbols[symbol] = str(error)
                self._logger.error("collector %s: %s", self.settings.name, error)
        self.wanted = wanted_streams(self.settings, self._spellings)
        was_halted = self.halted
        self.halted = {
            stream: channel
            for stream, channel in wanted_streams(self.settings, self.delisted).items()
            if stream not in self.wanted
        }
        for subscription, channel in (self.wanted | self.halted).items():
            self._register(subscription, channel)
        self.link.want(list(self.wanted))
        self.link.give_up([one for one in was_halted if not self.owns(one)])
        self._tell_delisted(was_gone)

    def _gone(self, symbol: str, news: Sequence[str]) -> str:
        settings = self.settings
        new = f"; new since the last look: {', '.join(news[:5])}" if news else ""
        return (
            f"expected {symbol} among the {settings.market} instruments of "
            f"{settings.adapter.name}, found that it is not listed any more{new}; it "
            "is subscribed again when it is listed again"
        )

    def _tell_delisted(self, before: Mapping[str, str]) -> None:
        """Say once of each symbol that it has gone, and that it has come back."""
        for symbol in {**before, **self.delisted}:
            if symbol not in self.symbols or (symbol in before) == (
                symbol in self.delisted
            ):
                continue
            gone = self.delisted.get(symbol)
            self._logger.warning(
                "collector %s: %s",
                self.settings.name,
                gone or f"{symbol} is listed again",
            )
            self.on_change(
                StatusChange(
                    f"instrument {symbol} of {self.settings.name}",
                    "halted" if gone is None else "live",
                    "live" if gone is None else "halted",
                    gone or f"{symbol} is listed again",
                    self._clock.wall_ns(),
                )
            )
