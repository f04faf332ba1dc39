"""Public fakes: a seeded market, simulators' base, virtual time, memory transports.

The conformance kits (``ExchangeConformance``, ``SinkConformance``, ``certify`` and
what they are given) are imported when they are first asked for: they need all of
core, and pytest when they run.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tapeline.testing.executor import InlineExecutor
from tapeline.testing.fault_scripts import load_faults, parse_faults
from tapeline.testing.faults import Fault, FaultRun
from tapeline.testing.instruments import (
    DEFAULT_INSTRUMENTS,
    SimInstrument,
    linear_swap,
    spot,
)
from tapeline.testing.ledger import Ledger, LedgerFill, read_ledger
from tapeline.testing.loopback import LoopbackServer
from tapeline.testing.market import START_NS, Execution, Feed, Fill, Market
from tapeline.testing.mini_adapter import (
    MiniAdapter,
    MiniConfig,
    MiniSession,
    mini_answers,
    mini_stream,
)
from tapeline.testing.mini_venue import MiniVenue
from tapeline.testing.mixes import (
    FaultWords,
    Incident,
    random_faults,
    random_incidents,
)
from tapeline.testing.oracle import CAUSES, Verdict, judge
from tapeline.testing.police import Limit, LimitsPolice
from tapeline.testing.scripted_http import ScriptedHttp
from tapeline.testing.simulator import (
    HalfOpen,
    HearsPings,
    HearsPongs,
    SimConnection,
    SimulatorBase,
)
from tapeline.testing.sinks import MemoryDatabase, MemorySink, MemorySinkAdapter
from tapeline.testing.tcp_proxy import TcpProxy
from tapeline.testing.timers import Timers
from tapeline.testing.tiny_adapter import (
    TINY_BASE,
    TinyAdapter,
    TinyConfig,
    TinySession,
    tiny_stream,
)
from tapeline.testing.tiny_venue import TinyRules, TinySocket, TinyVenue
from tapeline.testing.transports import MemoryNetwork, MemorySocket, MemoryVenue
from tapeline.testing.virtual_time import (
    VirtualClock,
    VirtualDeadlock,
    VirtualTimeLoop,
    run_virtual,
)
from tapeline.testing.wires import MemoryWire

if TYPE_CHECKING:
    from tapeline.testing.conformance import (
        SECRET_TEXT,
        Certificate,
        Destination,
        ExchangeConformance,
        ExchangeUnderTest,
        Recording,
        SimulatedCollection,
        SinkConformance,
        SinkUnderTest,
        certify,
    )

__all__ = [
    "CAUSES",
    "DEFAULT_INSTRUMENTS",
    "SECRET_TEXT",
    "START_NS",
    "TINY_BASE",
    "Certificate",
    "Destination",
    "ExchangeConformance",
    "ExchangeUnderTest",
    "Execution",
    "Fault",
    "FaultRun",
    "FaultWords",
    "Feed",
    "Fill",
    "HalfOpen",
    "HearsPings",
    "HearsPongs",
    "Incident",
    "InlineExecutor",
    "Ledger",
    "LedgerFill",
    "Limit",
    "LimitsPolice",
    "LoopbackServer",
    "Market",
    "MemoryDatabase",
    "MemoryNetwork",
    "MemorySink",
    "MemorySinkAdapter",
    "MemorySocket",
    "MemoryVenue",
    "MemoryWire",
    "MiniAdapter",
    "MiniConfig",
    "MiniSession",
    "MiniVenue",
    "Recording",
    "ScriptedHttp",
    "SimConnection",
    "SimInstrument",
    "SimulatedCollection",
    "SimulatorBase",
    "SinkConformance",
    "SinkUnderTest",
    "TcpProxy",
    "Timers",
    "TinyAdapter",
    "TinyConfig",
    "TinyRules",
    "TinySession",
    "TinySocket",
    "TinyVenue",
    "Verdict",
    "VirtualClock",
    "VirtualDeadlock",
    "VirtualTimeLoop",
    "certify",
    "judge",
    "linear_swap",
    "load_faults",
    "mini_answers",
    "mini_stream",
    "parse_faults",
    "random_faults",
    "random_incidents",
    "read_ledger",
    "run_virtual",
    "spot",
    "tiny_stream",
]

_KIT = frozenset(
    {
        "Certificate",
        "Destination",
        "ExchangeConformance",
        "ExchangeUnderTest",
        "Recording",
        "SECRET_TEXT",
        "SimulatedCollection",
        "SinkConformance",
        "SinkUnderTest",
        "certify",
    }
)


def __getattr__(name: str) -> Any:
    """A name of the conformance kits, imported with all that it needs."""
    if name not in _KIT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    kit = importlib.import_module("tapeline.testing.conformance")
    found = globals()[name] = getattr(kit, name)
    return found
