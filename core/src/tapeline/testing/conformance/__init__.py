"""Conformance kits: what every exchange and sink plugin has to show.

Subclass ``ExchangeConformance`` or ``SinkConformance`` in the plugin's tests;
``certify`` runs the same cases on an installed plugin.
"""

from tapeline.testing.conformance.cases import Case, Tier
from tapeline.testing.conformance.catalog import (
    CASES,
    EXCHANGE_CASES,
    PACKAGING_CASES,
    SINK_CASES,
)
from tapeline.testing.conformance.certify import Certificate, certify
from tapeline.testing.conformance.kits import ExchangeConformance, SinkConformance
from tapeline.testing.conformance.subjects import (
    SECRET_TEXT,
    Destination,
    ExchangeUnderTest,
    Recording,
    SimulatedCollection,
    SinkUnderTest,
)
from tapeline.testing.conformance.verdicts import (
    CaseResult,
    NotApplicable,
    NotShown,
    Outcome,
    RuleBroken,
    run_case,
)

__all__ = [
    "CASES",
    "EXCHANGE_CASES",
    "PACKAGING_CASES",
    "SECRET_TEXT",
    "SINK_CASES",
    "Case",
    "CaseResult",
    "Certificate",
    "Destination",
    "ExchangeConformance",
    "ExchangeUnderTest",
    "NotApplicable",
    "NotShown",
    "Outcome",
    "Recording",
    "RuleBroken",
    "SimulatedCollection",
    "SinkConformance",
    "SinkUnderTest",
    "Tier",
    "certify",
    "run_case",
]
