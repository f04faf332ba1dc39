"""What an operator can set for OKX."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

import attrs

from tapeline.errors import ConfigError
from tapeline.model import Secret

Depth = Literal["books5", "books", "bbo-tbt", "books50-l2-tbt", "books-l2-tbt"]
TradeChannel = Literal["trades", "trades-all"]
Region = Literal["global", "eea", "us"]

_DEPTHS = ("books5", "books", "bbo-tbt", "books50-l2-tbt", "books-l2-tbt")
_REGIONS = ("global", "eea", "us")


@attrs.frozen
class Hosts:
    """Addresses of one region; an API key is valid only in its own."""

    rest: str
    ws: str
    ws_demo: str


# https://my.okx.com/docs-v5/en/#overview-production-trading-services
HOSTS = MappingProxyType(
    {
        "global": Hosts(
            rest="https://openapi.okx.com",
            ws="wss://ws.okx.com:8443/ws/v5",
            ws_demo="wss://wspap.okx.com:8443/ws/v5",
        ),
        "eea": Hosts(
            rest="https://eea.okx.com",
            ws="wss://wseea.okx.com:8443/ws/v5",
            ws_demo="wss://wseeapap.okx.com:8443/ws/v5",
        ),
        "us": Hosts(
            rest="https://us.okx.com",
            ws="wss://wsus.okx.com:8443/ws/v5",
            ws_demo="wss://wsuspap.okx.com:8443/ws/v5",
        ),
    }
)


def _no_trailing_slash(url: str | None) -> str | None:
    return url.rstrip("/") if url is not None else None


@attrs.frozen(kw_only=True)
class OkxConfig:
    """Options of the OKX adapter.

    Raises:
        ConfigError: only some of the three parts of an API key are set.
    """

    depth: Depth = attrs.field(
        default="books5",
        validator=attrs.validators.in_(_DEPTHS),
        metadata={"description": "order book channel"},
    )
    trades: TradeChannel = attrs.field(
        default="trades",
        validator=attrs.validators.in_(("trades", "trades-all")),
        metadata={
            "description": "trade channel: `trades` merges the fills of one taker "
            "order at one price, `trades-all` sends every fill"
        },
    )
    region: Region = attrs.field(
        default="global",
        validator=attrs.validators.in_(_REGIONS),
        metadata={"description": "where the account lives; decides the hosts"},
    )
    demo: bool = attrs.field(
        default=False, metadata={"description": "use OKX's demo trading environment"}
    )
    ws_url: str | None = attrs.field(
        default=None,
        converter=_no_trailing_slash,
        metadata={
            "description": "base of the WebSocket addresses instead of the region's, "
            "e.g. `ws://127.0.0.1:8700/ws/v5`; `/public`, `/business` and "
            "`/private` are appended"
        },
    )
    rest_url: str | None = attrs.field(
        default=None,
        converter=_no_trailing_slash,
        metadata={"description": "base of the REST addresses instead of the region's"},
    )
    api_key: Secret | None = attrs.field(
        default=None, metadata={"description": "API key, for balances and VIP books"}
    )
    api_secret: Secret | None = attrs.field(
        default=None, metadata={"description": "secret of the API key"}
    )
    passphrase: Secret | None = attrs.field(
        default=None, metadata={"description": "passphrase of the API key"}
    )
    ping_interval_s: float = attrs.field(
        default=20.0,
        validator=[attrs.validators.gt(0), attrs.validators.lt(30)],
        metadata={"description": "silence in seconds after which a ping is sent"},
    )
    verify_checksum: bool = attrs.field(
        default=True,
        metadata={
            "description": "check books against checksums that are not 0; OKX sends "
            "only 0 since 2026-06-23, so this is about older recordings"
        },
    )
    forming_candles: bool = attrs.field(
        default=False,
        metadata={"description": "also give out candles that are not final yet"},
    )
    keep_raw: bool = attrs.field(
        default=False,
        metadata={"description": "keep OKX's own object in `raw` of every event"},
    )
    option_family: str = attrs.field(
        default="BTC-USD",
        metadata={"description": "family whose options are listed, e.g. `ETH-USD`"},
    )

    def __attrs_post_init__(self) -> None:
        parts = {
            "api_key": self.api_key,
            "api_secret": self.api_secret,
            "passphrase": self.passphrase,
        }
        missing = [name for name, value in parts.items() if not value]
        if missing and len(missing) < len(parts):
            raise ConfigError(
                [
                    (
                        name,
                        (
                            "expected api_key, api_secret and passphrase together, "
                            f"found no {name}; set it or remove the others"
                        ),
                    )
                    for name in missing
                ]
            )

    @property
    def has_key(self) -> bool:
        """Whether a whole API key is configured."""
        return bool(self.api_key and self.api_secret and self.passphrase)

    @property
    def ws_base(self) -> str:
        """Base of the WebSocket addresses, without a slash at the end."""
        if self.ws_url is not None:
            bare = urlsplit(self.ws_url).path in ("", "/")
            return self.ws_url + "/ws/v5" if bare else self.ws_url
        hosts = HOSTS[self.region]
        return hosts.ws_demo if self.demo else hosts.ws

    @property
    def rest_base(self) -> str:
        """Base of the REST addresses, without a slash at the end."""
        return HOSTS[self.region].rest if self.rest_url is None else self.rest_url
