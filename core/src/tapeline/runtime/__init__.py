"""The runtime: one engine for the library and for the service."""

from tapeline.backoff import Backoff
from tapeline.runtime.accounting import Accounts, StreamAccount, audit
from tapeline.runtime.audit_check import CandleAccounts, compare_with_venue
from tapeline.runtime.engine import Engine
from tapeline.runtime.executor import ThreadExecutor, ThreadWorker
from tapeline.runtime.feed import Feed, wanted_streams
from tapeline.runtime.gap_board import GapBoard, GapNews
from tapeline.runtime.instruments import fetch_instruments
from tapeline.runtime.journal_check import (
    JournalAccount,
    SinkPosition,
    compare_with_journal,
)
from tapeline.runtime.pipeline import Output, Pipeline, StreamState
from tapeline.runtime.recorder import Recorder, RecorderSettings
from tapeline.runtime.recordings import (
    RecordedFrame,
    expand_recordings,
    fingerprint,
    merge_recordings,
    read_recording,
)
from tapeline.runtime.replay import replay
from tapeline.runtime.replay_report import ReplayReport
from tapeline.runtime.resources import (
    ResourceMeter,
    cpu_seconds,
    open_files,
    rss_bytes,
)
from tapeline.runtime.settings import EngineSettings, FeedSettings, SinkSettings
from tapeline.runtime.sink_account import (
    SinkAccount,
    SinksAccount,
    account_of_sinks,
)
from tapeline.runtime.sink_files import SinkRequest, ask
from tapeline.runtime.supervision import RestartBudget, Supervised, Supervisor
from tapeline.runtime.system import current_seams, system_seams, use_seams
from tapeline.runtime.watchdog import Watchdog, WatchdogSettings, find_blocker

__all__ = [
    "Accounts",
    "Backoff",
    "CandleAccounts",
    "Engine",
    "EngineSettings",
    "Feed",
    "FeedSettings",
    "GapBoard",
    "GapNews",
    "JournalAccount",
    "Output",
    "Pipeline",
    "RecordedFrame",
    "Recorder",
    "RecorderSettings",
    "ReplayReport",
    "ResourceMeter",
    "RestartBudget",
    "SinkAccount",
    "SinkPosition",
    "SinkRequest",
    "SinkSettings",
    "SinksAccount",
    "StreamAccount",
    "StreamState",
    "Supervised",
    "Supervisor",
    "ThreadExecutor",
    "ThreadWorker",
    "Watchdog",
    "WatchdogSettings",
    "account_of_sinks",
    "ask",
    "audit",
    "compare_with_journal",
    "compare_with_venue",
    "cpu_seconds",
    "current_seams",
    "expand_recordings",
    "fetch_instruments",
    "find_blocker",
    "fingerprint",
    "merge_recordings",
    "open_files",
    "read_recording",
    "replay",
    "rss_bytes",
    "system_seams",
    "use_seams",
    "wanted_streams",
]
