"""Configuration: TOML into checked values, secrets hidden, every error at once."""

from tapeline.config.collectors import (
    AUDIT_TIMEFRAME,
    account_problem,
    audit_problem,
)
from tapeline.config.describing import (
    ConfigKey,
    describe_config,
    describe_environment,
    describe_options,
)
from tapeline.config.environment import Defaults
from tapeline.config.loading import load_config, parse_config
from tapeline.config.plugins import Plugins
from tapeline.config.sections import (
    CollectorSection,
    ConsolidateSection,
    RuntimeConfig,
    ServiceSection,
    SinkSection,
    TapelineConfig,
)
from tapeline.config.structuring import structure_options
from tapeline.config.template import template

__all__ = [
    "AUDIT_TIMEFRAME",
    "CollectorSection",
    "ConfigKey",
    "ConsolidateSection",
    "Defaults",
    "Plugins",
    "RuntimeConfig",
    "ServiceSection",
    "SinkSection",
    "TapelineConfig",
    "account_problem",
    "audit_problem",
    "describe_config",
    "describe_environment",
    "describe_options",
    "load_config",
    "parse_config",
    "structure_options",
    "template",
]
