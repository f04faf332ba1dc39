"""All input and output with venues: sockets, REST, budgets, back-off."""

from tapeline.backoff import Backoff
from tapeline.transport.bans import BanMemory, MemoryBans
from tapeline.transport.budgets import BudgetKeeper, BudgetPool, BudgetStatistics
from tapeline.transport.endings import DISCONNECT
from tapeline.transport.failures import (
    RequestExpired,
    RequestRefused,
    TooManyWaiting,
)
from tapeline.transport.http import HttpxClient
from tapeline.transport.inbox import (
    FrameLost,
    Inbox,
    Item,
    Mark,
    Sourced,
    StreamDropped,
    StreamLost,
    StreamMissed,
    StreamOpened,
)
from tapeline.transport.link import ExchangeLink
from tapeline.transport.rest import RestClient, RestSettings
from tapeline.transport.routes import PackedSocket, RoutePacker
from tapeline.transport.sockets import WebsocketsDialer
from tapeline.transport.status import (
    LinkChange,
    LinkStatus,
    SocketStatus,
    SubscriptionStatus,
)
from tapeline.transport.wiring import Bind, BoundLike, LinkSettings

__all__ = [
    "DISCONNECT",
    "Backoff",
    "BanMemory",
    "Bind",
    "BoundLike",
    "BudgetKeeper",
    "BudgetPool",
    "BudgetStatistics",
    "ExchangeLink",
    "FrameLost",
    "HttpxClient",
    "Inbox",
    "Item",
    "LinkChange",
    "LinkSettings",
    "LinkStatus",
    "Mark",
    "MemoryBans",
    "PackedSocket",
    "RequestExpired",
    "RequestRefused",
    "RestClient",
    "RestSettings",
    "RoutePacker",
    "SocketStatus",
    "Sourced",
    "StreamDropped",
    "StreamLost",
    "StreamMissed",
    "StreamOpened",
    "SubscriptionStatus",
    "TooManyWaiting",
    "WebsocketsDialer",
]
