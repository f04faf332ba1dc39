"""Tell of candles that are not whole."""

from tapeline.model import COMPLETE, Candle


def on_event(candle: Candle) -> None:
    if candle.state != COMPLETE:
        print(candle.symbol, candle.timestamp, candle.state)
