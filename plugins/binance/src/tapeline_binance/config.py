"""What an operator can set for Binance."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

import attrs

from tapeline.errors import ConfigError
from tapeline.model import Secret

TradeChannel = Literal["aggTrade", "trade"]
TickerChannel = Literal["ticker", "bookTicker"]
Depth = Literal[
    "depth5",
    "depth5@100ms",
    "depth5@500ms",
    "depth10",
    "depth10@100ms",
    "depth10@500ms",
    "depth20",
    "depth20@100ms",
    "depth20@500ms",
    "depth",
    "depth@100ms",
    "depth@500ms",
]
Region = Literal["production", "market-data-only", "testnet", "demo", "us"]
SnapshotLevels = Literal[100, 500, 1000, 5000]

PARTIAL_DEPTHS = tuple(
    f"depth{levels}{speed}"
    for levels in (5, 10, 20)
    for speed in ("", "@100ms", "@500ms")
)
DIFF_DEPTHS = ("depth", "depth@100ms", "depth@500ms")

SPOT = "spot"
USDM = "usdm"
COINM = "coinm"

WS_API_PATH = "/ws-api/v3"


@attrs.frozen
class Hosts:
    """Addresses of one region.

    Args:
        rest, ws: family (``spot``, ``usdm``, ``coinm``) → base address.
        ws_api: of the WebSocket API, for balances; empty when there is none.
        split: whether futures sockets are split by path into ``/public`` and
            ``/market``.
    """

    rest: MappingProxyType[str, str]
    ws: MappingProxyType[str, str]
    ws_api: str = ""
    split: bool = True


def _each(**bases: str) -> MappingProxyType[str, str]:
    return MappingProxyType(bases)


# https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
# https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info
HOSTS = MappingProxyType(
    {
        "production": Hosts(
            rest=_each(
                spot="https://api.binance.com",
                usdm="https://fapi.binance.com",
                coinm="https://dapi.binance.com",
            ),
            ws=_each(
                spot="wss://stream.binance.com:9443",
                usdm="wss://fstream.binance.com",
                coinm="wss://dstream.binance.com",
            ),
            ws_api="wss://ws-api.binance.com:443",
        ),
        "market-data-only": Hosts(
            rest=_each(spot="https://data-api.binance.vision"),
            ws=_each(spot="wss://data-stream.binance.vision"),
        ),
        "testnet": Hosts(
            rest=_each(
                spot="https://testnet.binance.vision",
                usdm="https://testnet.binancefuture.com",
                coinm="https://testnet.binancefuture.com",
            ),
            ws=_each(
                spot="wss://stream.testnet.binance.vision",
                usdm="wss://fstream.binancefuture.com",
                coinm="wss://dstream.binancefuture.com",
            ),
            ws_api="wss://ws-api.testnet.binance.vision",
            split=False,
        ),
        "demo": Hosts(
            rest=_each(
                spot="https://demo-api.binance.com",
                usdm="https://demo-fapi.binance.com",
                coinm="https://demo-dapi.binance.com",
            ),
            ws=_each(
                spot="wss://demo-stream.binance.com",
                usdm="wss://demo-fstream.binance.com",
                coinm="wss://demo-dstream.binance.com",
            ),
            ws_api="wss://demo-ws-api.binance.com",
            split=False,
        ),
        "us": Hosts(
            rest=_each(spot="https://api.binance.us"),
            ws=_each(spot="wss://stream.binance.us:9443"),
        ),
    }
)

_FAMILIES = MappingProxyType(
    {SPOT: "spot", USDM: "USDⓈ-M futures", COINM: "COIN-M futures"}
)


def _no_trailing_slash(url: str | None) -> str | None:
    return url.rstrip("/") if url is not None else None


@attrs.frozen(kw_only=True)
class BinanceConfig:
    """Options of the Binance adapter.

    Raises:
        ConfigError: only one of the two parts of an API key is set.
    """

    depth: Depth = attrs.field(
        default="depth20@100ms",
        validator=attrs.validators.in_((*PARTIAL_DEPTHS, *DIFF_DEPTHS)),
        metadata={
            "description": "order book channel: `depth5`, `depth10`, `depth20` send "
            "the best levels, `depth` sends changes of the whole book; `@100ms` is "
            "faster, `@500ms` is for futures only"
        },
    )
    trades: TradeChannel = attrs.field(
        default="aggTrade",
        validator=attrs.validators.in_(("aggTrade", "trade")),
        metadata={
            "description": "trade channel: `aggTrade` merges the fills of one taker "
            "order at one price, `trade` sends every fill"
        },
    )
    ticker: TickerChannel = attrs.field(
        default="ticker",
        validator=attrs.validators.in_(("ticker", "bookTicker")),
        metadata={
            "description": "ticker channel: `ticker` has 24 hour figures once a "
            "second, `bookTicker` the best bid and ask with every change"
        },
    )
    region: Region = attrs.field(
        default="production",
        validator=attrs.validators.in_(tuple(HOSTS)),
        metadata={
            "description": "which hosts to use; `market-data-only` and `us` have no "
            "futures"
        },
    )
    ws_url: str | None = attrs.field(
        default=None,
        converter=_no_trailing_slash,
        metadata={
            "description": "base of the WebSocket addresses instead of the region's, "
            "e.g. `ws://127.0.0.1:8700`; `/stream`, `/public/stream`, "
            "`/market/stream` and `/ws-api/v3` are appended"
        },
    )
    rest_url: str | None = attrs.field(
        default=None,
        converter=_no_trailing_slash,
        metadata={
            "description": "base of the REST addresses instead of the region's; "
            "`/api/v3/…` and `/fapi/v1/…` are appended"
        },
    )
    api_key: Secret | None = attrs.field(
        default=None,
        metadata={"description": "API key, for balances and `historicalTrades`"},
    )
    api_secret: Secret | None = attrs.field(
        default=None, metadata={"description": "secret of the API key (HMAC)"}
    )
    snapshot_levels: SnapshotLevels = attrs.field(
        default=1000,
        validator=attrs.validators.in_((100, 500, 1000, 5000)),
        metadata={
            "description": "levels a side of the REST snapshot that a book of changes "
            "begins with; 5000 costs five times the weight of 1000, futures have at "
            "most 1000"
        },
    )
    ping_interval_s: float = attrs.field(
        default=20.0,
        validator=[attrs.validators.gt(0), attrs.validators.lt(60)],
        metadata={"description": "silence in seconds after which a ping is sent"},
    )
    forming_candles: bool = attrs.field(
        default=False,
        metadata={"description": "also give out candles that are not final yet"},
    )
    keep_raw: bool = attrs.field(
        default=False,
        metadata={"description": "keep Binance's own object in `raw` of every event"},
    )

    def __attrs_post_init__(self) -> None:
        parts = {"api_key": self.api_key, "api_secret": self.api_secret}
        missing = [name for name, value in parts.items() if not value]
        if len(missing) == 1:
            raise ConfigError(
                [
                    (
                        missing[0],
                        (
                            "expected api_key and api_secret together, found no "
                            f"{missing[0]}; set it or remove the other"
                        ),
                    )
                ]
            )

    @property
    def has_key(self) -> bool:
        """Whether a whole API key is configured."""
        return bool(self.api_key and self.api_secret)

    def ws_base(self, family: str) -> str:
        """Base of the WebSocket addresses, without a slash at the end.

        Raises:
            ConfigError: the region does not have *family*.
        """
        return self.ws_url or self._base(HOSTS[self.region].ws, family)

    def rest_base(self, family: str) -> str:
        """Base of the REST addresses, without a slash at the end.

        Raises:
            ConfigError: the region does not have *family*.
        """
        return self.rest_url or self._base(HOSTS[self.region].rest, family)

    def ws_api_url(self) -> str:
        """Address of the WebSocket API.

        Raises:
            ConfigError: the region has none.
        """
        base = self.ws_url or HOSTS[self.region].ws_api
        if not base:
            raise ConfigError(
                [
                    (
                        "options.region",
                        (
                            "expected a region with accounts, as balances are wanted, "
                            f"found {self.region!r}; choose another region"
                        ),
                    )
                ]
            )
        return base + WS_API_PATH

    @property
    def split(self) -> bool:
        """Whether futures sockets are split into ``/public`` and ``/market``."""
        return self.ws_url is not None or HOSTS[self.region].split

    def _base(self, bases: MappingProxyType[str, str], family: str) -> str:
        base = bases.get(family)
        if base is None:
            raise ConfigError(
                [
                    (
                        "options.region",
                        (
                            f"expected a region with {_FAMILIES[family]}, found "
                            f"{self.region!r}; use market 'spot' or another region"
                        ),
                    )
                ]
            )
        return base
