"""Records as JSON documents, and where each belongs: hot path of both sinks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tapeline.model import (
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    Coverage,
    Gap,
    MarketDataPoint,
    RawLevels,
    RawMessage,
    Record,
    Subscription,
    Ticker,
    Trade,
    ns_from_datetime,
)

Place = tuple[str, str, str, str]
"""Exchange, market, symbol and type of a record."""

REFUSALS = (TypeError, ValueError, OverflowError, AttributeError)
"""What a record that no JSON can hold raises on its way into a document."""

_encode = msgspec.json.Encoder().encode
_DEFAULT_MARKET = "spot"


def document(record: Record) -> bytes:
    """*record* as one JSON object; prices and sizes are exact, as text.

    Raises:
        TypeError, ValueError, OverflowError, AttributeError: it holds what no JSON
            can hold.
    """
    build = _BUILDERS.get(type(record), _point)
    return _encode(build(record))


def place(record: Record) -> Place:
    """Where *record* belongs: the parts of its channel or stream."""
    fact = _FACTS.get(type(record))
    stream: Subscription | None = getattr(record, "stream", None)
    if stream is not None:
        if fact is not None:
            return stream.exchange, stream.market, stream.symbol, fact
        symbol = record.symbol  # type: ignore[union-attr]
        kind = record.data_type  # type: ignore[union-attr]
        return stream.exchange, stream.market, symbol, str(kind)
    # A point that a collector of the user's own made.
    point: Any = record
    market = str(point.data.get("market", _DEFAULT_MARKET))
    return point.exchange, market, point.symbol, str(point.data_type)


def joined(prefix: str, where: Place) -> str:
    """The channel or key of what belongs *where*."""
    return f"{prefix}:{where[0]}:{where[1]}:{where[2]}:{where[3]}"


def _head(kind: str, stream: Subscription) -> dict[str, object]:
    return {
        "type": kind,
        "exchange": stream.exchange,
        "market": stream.market,
        "symbol": stream.symbol,
    }


def _trade(trade: Trade) -> dict[str, object]:
    return {
        **_head("trade", trade.stream),
        "trade_id": trade.trade_id,
        "id_kind": trade.stream.id_kind,
        "first_id": trade.first_id,
        "last_id": trade.last_id,
        "fills": trade.fills,
        "side": trade.side,
        "price": trade.price,
        "size": trade.size,
        "exchange_ns": trade.exchange_ns,
        "received_ns": trade.received_ns,
        "source": trade.source,
    }


def _ticker(ticker: Ticker) -> dict[str, object]:
    return {
        **_head("ticker", ticker.stream),
        "last": ticker.last,
        "last_size": ticker.last_size,
        "bid": ticker.bid,
        "bid_size": ticker.bid_size,
        "ask": ticker.ask,
        "ask_size": ticker.ask_size,
        "open_24h": ticker.open_24h,
        "high_24h": ticker.high_24h,
        "low_24h": ticker.low_24h,
        "volume_24h": ticker.volume_24h,
        "quote_volume_24h": ticker.quote_volume_24h,
        "exchange_ns": ticker.exchange_ns,
        "received_ns": ticker.received_ns,
    }


def _levels(levels: RawLevels) -> list[list[str]]:
    return [[level[0], level[1]] for level in levels]


def _book(book: BookSnapshot) -> dict[str, object]:
    return {
        **_head("orderbook", book.stream),
        "kind": "snapshot",
        "bids": _levels(book.bids),
        "asks": _levels(book.asks),
        "last_id": book.last_id,
        "exchange_ns": book.exchange_ns,
        "received_ns": book.received_ns,
    }


def _delta(delta: BookDelta) -> dict[str, object]:
    return {
        **_head("orderbook", delta.stream),
        "kind": "delta",
        "bids": _levels(delta.bids),
        "asks": _levels(delta.asks),
        "link_id": delta.link_id,
        "last_id": delta.last_id,
        "exchange_ns": delta.exchange_ns,
        "received_ns": delta.received_ns,
    }


def _candle(candle: Candle) -> dict[str, object]:
    return {
        **_head("candle", candle.stream),
        "timeframe": candle.timeframe,
        "source": candle.source,
        "open_ns": candle.open_ns,
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "volume": candle.volume,
        "quote_volume": candle.quote_volume,
        "taker_buy_volume": candle.taker_buy_volume,
        "trades_count": candle.trades_count,
        "first_id": candle.first_id,
        "last_id": candle.last_id,
        "state": candle.state,
        "revision": candle.revision,
        "received_ns": candle.received_ns,
    }


def _balance(balance: Balance) -> dict[str, object]:
    return {
        **_head("balance", balance.stream),
        "symbol": balance.asset,
        "account": balance.account,
        "total": balance.total,
        "free": balance.free,
        "locked": balance.locked,
        "snapshot": balance.snapshot,
        "exchange_ns": balance.exchange_ns,
        "received_ns": balance.received_ns,
    }


def _gap(gap: Gap) -> dict[str, object]:
    return {
        **_head("gap", gap.stream),
        "data_type": str(gap.stream.data_type),
        "id_kind": gap.stream.id_kind,
        "gap_id": gap.gap_id,
        "revision": gap.revision,
        "from_id": gap.from_id,
        "to_id": gap.to_id,
        "from_ns": gap.from_ns,
        "to_ns": gap.to_ns,
        "cause": gap.cause,
        "detected_ns": gap.detected_ns,
        "state": gap.state,
        "recovered_count": gap.recovered_count,
    }


def _coverage(coverage: Coverage) -> dict[str, object]:
    return {
        **_head("coverage", coverage.stream),
        "data_type": str(coverage.stream.data_type),
        "first_id": coverage.first_id,
        "last_id": coverage.last_id,
        "started_ns": coverage.started_ns,
        "ended_ns": coverage.ended_ns,
    }


def _raw(raw: RawMessage) -> dict[str, object]:
    return {
        **_head("raw", raw.stream),
        "data_type": str(raw.stream.data_type),
        "received_ns": raw.received_ns,
        "text": raw.text,
    }


def _point(point: MarketDataPoint) -> dict[str, object]:
    where = place(point)
    return {
        **point.data,
        "type": where[3],
        "exchange": where[0],
        "market": where[1],
        "symbol": where[2],
        "exchange_ns": ns_from_datetime(point.timestamp),
    }


_BUILDERS: Mapping[type, Callable[[Any], dict[str, object]]] = {
    Trade: _trade,
    Ticker: _ticker,
    BookSnapshot: _book,
    BookDelta: _delta,
    Candle: _candle,
    Balance: _balance,
    Gap: _gap,
    Coverage: _coverage,
    RawMessage: _raw,
}
_FACTS: Mapping[type, str] = {Gap: "gap", Coverage: "coverage", RawMessage: "raw"}
