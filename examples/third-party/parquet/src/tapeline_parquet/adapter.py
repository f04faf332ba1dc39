"""How core makes Parquet sinks."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.hookspecs import DatabaseReader, Sink, SinkContext
from tapeline_parquet.config import ParquetConfig
from tapeline_parquet.sink import ParquetSink


class ParquetAdapter:
    """Parquet files; see ``hookspecs.SinkAdapter``."""

    name: str = "parquet"
    config: type[ParquetConfig] = ParquetConfig
    promise: str = "durable"
    accepts: Sequence[str] | None = None
    default: bool = False

    def sink(self, config: ParquetConfig, context: SinkContext) -> Sink:
        """A new sink; opens nothing yet."""
        return ParquetSink(config, context)

    def check(self, config: ParquetConfig) -> str | None:
        """What is wrong with the path, seen without writing; None if nothing."""
        folder = config.path.expanduser().absolute()
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            return f"expected a folder at {config.path}, found the file {folder}"
        return None

    def open_reader(self, url: str) -> DatabaseReader | None:
        """None: ``tapeline verify`` does not read Parquet."""
        return None
