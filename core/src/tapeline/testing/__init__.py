"""Public fakes: a seeded market, simulators' base, virtual time, memory transports."""

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

__all__ = [
    "CAUSES",
    "DEFAULT_INSTRUMENTS",
    "START_NS",
    "TINY_BASE",
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
    "ScriptedHttp",
    "SimConnection",
    "SimInstrument",
    "SimulatorBase",
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
    "judge",
    "linear_swap",
    "load_faults",
    "parse_faults",
    "random_faults",
    "random_incidents",
    "read_ledger",
    "run_virtual",
    "spot",
    "tiny_stream",
]
