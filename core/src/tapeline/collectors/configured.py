"""From a configuration file to collectors: the same runtime as the library's."""

from __future__ import annotations

import logging
from pathlib import Path

from tapeline.collectors.configs import CollectorConfig
from tapeline.collectors.exchange import ExchangeCollector
from tapeline.collectors.manager import CollectorManager
from tapeline.config import CollectorSection, SinkSection, TapelineConfig
from tapeline.errors import PluginError
from tapeline.logs import add_log_file
from tapeline.plugins import PluginRegistry, PluginState
from tapeline.runtime import EngineSettings, SinkSettings


def build_manager(
    config: TapelineConfig, registry: PluginRegistry, *, embedded: bool = True
) -> CollectorManager:
    """The manager that *config* describes, not started yet.

    Args:
        embedded: see ``CollectorManager``.

    Raises:
        PluginError: a plugin that it uses is not active.
        UsageError: a plugin that it names is not installed.
    """
    runtime = config.runtime
    for name in runtime.plugins:
        record = registry.load(name)
        if record.state is not PluginState.ACTIVE:
            raise PluginError(name, record.state.value, record.reason)
    manager = CollectorManager(
        "tapeline",
        logger=logging.getLogger("tapeline.manager"),
        sinks=[
            configured_sink(name, section, registry)
            for name, section in config.sinks.items()
        ],
        settings=EngineSettings(
            data_dir=Path(runtime.data_dir),
            commit_ms=runtime.commit_ms,
            quota_bytes=runtime.quota_bytes,
            memory_bytes=runtime.memory_bytes,
            reconnect_delay_s=config.defaults.reconnect_delay_s,
            max_silence_s=config.defaults.max_silence_duration_s,
            candle_grace_s=runtime.candle_grace_s,
            empty_candles=runtime.empty_candles,
        ),
        embedded=embedded,
        plugins=registry,
    )
    for name, section in config.collectors.items():
        add_configured(manager, name, section, registry)
    for name, wanted in config.consolidate.items():
        manager.consolidate(
            name,
            wanted.symbol,
            wanted.exchanges,
            market=wanted.market,
            timeframes=wanted.timeframes,
            wait_s=wanted.wait_s,
            stale_after_s=wanted.stale_after_s,
        )
    for name, service in config.services.items():
        manager.add_service(name, registry.service(service.use), service.options)
    return manager


def configured_sink(
    name: str, section: SinkSection, registry: PluginRegistry
) -> SinkSettings:
    """The sink that *section* describes."""
    adapter = registry.sink(section.use)
    return SinkSettings(name, adapter, section.options, section.data_types)


def add_configured(
    manager: CollectorManager,
    name: str,
    section: CollectorSection,
    registry: PluginRegistry,
) -> None:
    """Add the collector that *section* describes to *manager*."""
    manager.add_collector(
        _collector(name, section, registry),
        CollectorConfig(
            name,
            section.exchange,
            list(section.symbols),
            [str(data_type) for data_type in section.data_types],
            section.auto_restart,
            section.health_check_interval,
            section.enabled,
        ),
    )


def _collector(
    name: str, section: CollectorSection, registry: PluginRegistry
) -> ExchangeCollector:
    collector = ExchangeCollector(
        section.exchange,
        section.symbols,
        section.data_types,
        component_name=name,
        auto_restart=section.auto_restart,
        health_check_interval=section.health_check_interval,
        store_raw_data=section.store_raw_data,
        custom_params={
            "market": section.market,
            "timeframes": list(section.timeframes),
            "venue_timeframes": list(section.venue_timeframes),
            "redundancy": section.redundancy,
            "account": section.account,
            "audit": section.audit,
        },
        logger=add_log_file(f"tapeline.collector.{name}"),
        adapter=registry.exchange(section.exchange),
        config=section.options,
    )
    collector.max_restarts = section.max_restarts
    return collector
