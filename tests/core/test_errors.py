"""What errors suggest."""

from __future__ import annotations

import pytest

from tapeline.errors import UnknownExchange, UnknownSink, UnknownSymbol

LISTED = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "PEPE-USDT")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("BTCUSDT", "BTC-USDT"),
        ("BTC-USDC", "BTC-USDT"),
        ("ETHH-USDT", "ETH-USDT"),
        ("NOPE-USDT", None),
        ("XYZ-USDT", None),
    ],
)
def test_a_symbol_is_suggested_only_when_its_base_is_alike(
    written: str, meant: str | None
) -> None:
    text = str(UnknownSymbol("okx", "spot", written, LISTED))

    assert ("did you mean" in text) == (meant is not None)
    assert meant is None or f"{meant!r}" in text


@pytest.mark.parametrize("error", [UnknownExchange, UnknownSink])
def test_a_typo_is_never_a_package_to_install(
    error: type[UnknownExchange] | type[UnknownSink],
) -> None:
    typo = str(error("okxx", ["okx", "binance"]))
    other = str(error("kraken", ["okx", "binance"]))

    assert "did you mean 'okx'?" in typo
    assert "pip install" not in typo
    assert "pip install tapeline-kraken" in other
