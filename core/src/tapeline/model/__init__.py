"""The vocabulary that everything else speaks."""

from tapeline.model.actions import (
    LOGIN,
    OTHER,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Acked,
    Action,
    Budget,
    Closing,
    Dial,
    Fetch,
    Keepalive,
    LoggedIn,
    Malformed,
    Missed,
    Outcome,
    OutcomeKind,
    Recovery,
    Rejected,
    Reply,
    Rotate,
    Route,
    Send,
    Tick,
)
from tapeline.model.backfills import (
    Backfill,
    BackfillPage,
)
from tapeline.model.balances import (
    Balance,
)
from tapeline.model.batches import (
    Batch,
    Event,
    Fact,
    Part,
    Record,
    StoredEvent,
)
from tapeline.model.books import (
    BookDelta,
    BookSnapshot,
    RawLevel,
    RawLevels,
    decimal_levels,
)
from tapeline.model.candles import (
    COMPLETE,
    CONSOLIDATED,
    FROM_TRADES,
    FROM_VENUE,
    GAP,
    PARTIAL,
    REPAIRED,
    Candle,
    OHLCVData,
)
from tapeline.model.capabilities import (
    Capabilities,
    Channel,
    Continuity,
)
from tapeline.model.consolidated import (
    CONSOLIDATED_EXCHANGE,
    ConsolidatedCandle,
    ConsolidatedTrade,
)
from tapeline.model.construction import draft_of, quick_constructor
from tapeline.model.dead_letters import KeptLetter, LetterKey
from tapeline.model.facts import (
    BACKFILLING,
    CLOSED,
    OPEN,
    UNRECOVERABLE,
    Coverage,
    Gap,
    RawMessage,
)
from tapeline.model.instruments import (
    Instrument,
    Market,
)
from tapeline.model.points import (
    DataType,
    MarketDataPoint,
    datetime_from_ns,
    ns_from_datetime,
)
from tapeline.model.requests import (
    Request,
    Response,
)
from tapeline.model.secrets import (
    MASK,
    Secret,
)
from tapeline.model.status import (
    CollectorStatus,
    Health,
    HealthLevel,
    SessionHealth,
    SinkHealth,
    StatusChange,
    SubscriptionState,
)
from tapeline.model.subscriptions import (
    ALL_SYMBOLS,
    Subscription,
)
from tapeline.model.tickers import (
    Ticker,
)
from tapeline.model.timeframes import (
    TIMEFRAMES,
    open_ns,
    width_ns,
)
from tapeline.model.trades import (
    BACKFILL,
    LIVE,
    REPLAY,
    Trade,
)

__all__ = [
    "ALL_SYMBOLS",
    "BACKFILL",
    "BACKFILLING",
    "CLOSED",
    "COMPLETE",
    "CONSOLIDATED",
    "CONSOLIDATED_EXCHANGE",
    "FROM_TRADES",
    "FROM_VENUE",
    "GAP",
    "LIVE",
    "LOGIN",
    "MASK",
    "OPEN",
    "OTHER",
    "PARTIAL",
    "REPAIRED",
    "REPLAY",
    "SUBSCRIBE",
    "TIMEFRAMES",
    "UNRECOVERABLE",
    "UNSUBSCRIBE",
    "Acked",
    "Action",
    "Backfill",
    "BackfillPage",
    "Balance",
    "Batch",
    "BookDelta",
    "BookSnapshot",
    "Budget",
    "Candle",
    "Capabilities",
    "Channel",
    "Closing",
    "CollectorStatus",
    "ConsolidatedCandle",
    "ConsolidatedTrade",
    "Continuity",
    "Coverage",
    "DataType",
    "Dial",
    "Event",
    "Fact",
    "Fetch",
    "Gap",
    "Health",
    "HealthLevel",
    "Instrument",
    "Keepalive",
    "KeptLetter",
    "LetterKey",
    "LoggedIn",
    "Malformed",
    "Market",
    "MarketDataPoint",
    "Missed",
    "OHLCVData",
    "Outcome",
    "OutcomeKind",
    "Part",
    "RawLevel",
    "RawLevels",
    "RawMessage",
    "Record",
    "Recovery",
    "Rejected",
    "Reply",
    "Request",
    "Response",
    "Rotate",
    "Route",
    "Secret",
    "Send",
    "SessionHealth",
    "SinkHealth",
    "StatusChange",
    "StoredEvent",
    "Subscription",
    "SubscriptionState",
    "Tick",
    "Ticker",
    "Trade",
    "datetime_from_ns",
    "decimal_levels",
    "draft_of",
    "ns_from_datetime",
    "open_ns",
    "quick_constructor",
    "width_ns",
]
