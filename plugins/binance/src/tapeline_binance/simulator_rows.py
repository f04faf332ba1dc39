"""What the simulator answers over REST: rows of trades, bars, tickers, instruments.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
"""

from __future__ import annotations

from datetime import UTC, datetime

from tapeline.testing.bars import DAY_NS, SimBar
from tapeline.testing.market import Execution, Fill
from tapeline.testing.numbers import scaled_text
from tapeline_binance.simulator_wire import BinanceInstrument, padded

_NEVER_MS = 4_133_404_800_000


def trade_row(
    instrument: BinanceInstrument, fill: Fill, unit_ns: int
) -> dict[str, object]:
    """A row of ``trades`` and ``historicalTrades``."""
    feed = instrument.feed
    # Exact: both texts are whole ticks and lots.
    units = _units(fill.price, feed.price_decimals) * _units(
        fill.size, feed.size_decimals
    )
    value = scaled_text(units, feed.price_decimals + feed.size_decimals)
    row: dict[str, object] = {
        "id": fill.id,
        "price": padded(fill.price, instrument.price_decimals),
        "qty": padded(fill.size, instrument.size_decimals),
        "quoteQty": padded(value, instrument.price_decimals),
        "time": fill.exchange_ns // unit_ns,
        "isBuyerMaker": fill.side == "sell",
    }
    return row | {"isBestMatch": True} if instrument.spot else row


def aggregate_row(
    instrument: BinanceInstrument, execution: Execution, unit_ns: int
) -> dict[str, object]:
    """A row of ``aggTrades``."""
    size = padded(execution.size, instrument.size_decimals)
    row: dict[str, object] = {
        "a": execution.aggregate_id,
        "p": padded(execution.price, instrument.price_decimals),
        "q": size,
        "f": execution.first_id,
        "l": execution.last_id,
        "T": execution.exchange_ns // unit_ns,
        "m": execution.side == "sell",
    }
    return row | ({"M": True} if instrument.spot else {"nq": size})


def kline_row(
    instrument: BinanceInstrument, bar: SimBar, end_ns: int, unit_ns: int
) -> list[object]:
    """A row of ``klines``."""
    price, size = instrument.price, instrument.size
    return [
        bar.open_ns // unit_ns,
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        size(bar.lots),
        end_ns // unit_ns - 1,
        instrument.value(bar.notional),
        bar.fills,
        size(bar.buy_lots),
        instrument.value(bar.buy_notional),
        "0",
    ]


def best_row(instrument: BinanceInstrument, unit_ns: int) -> dict[str, object]:
    """A row of ``ticker/bookTicker``."""
    bid, bid_lots, ask, ask_lots = instrument.best()
    row: dict[str, object] = {
        "symbol": instrument.symbol,
        "bidPrice": instrument.price(bid),
        "bidQty": instrument.size(bid_lots),
        "askPrice": instrument.price(ask),
        "askQty": instrument.size(ask_lots),
    }
    if not instrument.spot:
        row |= {
            "time": instrument.changed_ns // unit_ns,
            "lastUpdateId": instrument.update_id,
        }
    return row


def day_row(
    instrument: BinanceInstrument, now_ns: int, unit_ns: int
) -> dict[str, object]:
    """A row of ``ticker/24hr``."""
    feed, day, price = instrument.feed, instrument.feed.day, instrument.price
    change, percent, average = instrument.changes()
    row: dict[str, object] = {
        "symbol": instrument.symbol,
        "priceChange": change,
        "priceChangePercent": percent,
        "weightedAvgPrice": average,
    }
    if instrument.spot:
        row["prevClosePrice"] = price(day.open)
    row |= {
        "lastPrice": price(feed.last_tick),
        "lastQty": instrument.size(feed.last_lots),
    }
    if instrument.spot:
        best = best_row(instrument, unit_ns)
        del best["symbol"]
        row |= best
    return row | {
        "openPrice": price(day.open),
        "highPrice": price(day.high),
        "lowPrice": price(day.low),
        "volume": instrument.size(day.lots),
        "quoteVolume": instrument.value(day.notional),
        "openTime": (now_ns - DAY_NS) // unit_ns,
        "closeTime": now_ns // unit_ns,
        "firstId": day.first_id,
        "lastId": feed.next_id - 1 if day.fills else -1,
        "count": day.fills,
    }


def instrument_row(instrument: BinanceInstrument) -> dict[str, object]:
    """The instrument as ``exchangeInfo`` lists it."""
    return _spot_info(instrument) if instrument.spot else _futures_info(instrument)


def _spot_info(instrument: BinanceInstrument) -> dict[str, object]:
    known, pad = instrument.feed.instrument, instrument.price_decimals
    return {
        "symbol": instrument.symbol,
        "status": instrument.status,
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        # The order is not the documented one: filters are found by type.
        "filters": [
            {
                "filterType": "LOT_SIZE",
                "minQty": padded(format(known.min_size, "f"), pad),
                "maxQty": "9000.00000000",
                "stepSize": padded(format(known.lot_size, "f"), pad),
            },
            {"filterType": "ICEBERG_PARTS", "limit": 10},
            {
                "filterType": "PRICE_FILTER",
                "minPrice": padded(format(known.tick_size, "f"), pad),
                "maxPrice": "1000000.00000000",
                "tickSize": padded(format(known.tick_size, "f"), pad),
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": "5.00000000",
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN"]],
    }


def _futures_info(instrument: BinanceInstrument) -> dict[str, object]:
    known = instrument.feed.instrument
    return {
        "symbol": instrument.symbol,
        "pair": instrument.pair,
        "contractType": "CURRENT_QUARTER" if instrument.expiry else "PERPETUAL",
        "deliveryDate": _expiry_ms(instrument.expiry)
        if instrument.expiry
        else _NEVER_MS,
        "onboardDate": 1_569_398_400_000,
        "status": instrument.status,
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.quote,
        "pricePrecision": instrument.price_decimals,
        "quantityPrecision": instrument.size_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": format(known.tick_size, "f"),
                "maxPrice": "4529764",
                "tickSize": format(known.tick_size, "f"),
            },
            {
                "filterType": "LOT_SIZE",
                "stepSize": format(known.lot_size, "f"),
                "maxQty": "1000",
                "minQty": format(known.min_size, "f"),
            },
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def _units(text: str, decimals: int) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(decimals, "0"))


def _expiry_ms(text: str) -> int:
    # Quarterly contracts are delivered at 08:00 UTC of the day in their name.
    day = datetime.strptime(text, "%y%m%d").replace(hour=8, tzinfo=UTC)
    return int(day.timestamp()) * 1_000
